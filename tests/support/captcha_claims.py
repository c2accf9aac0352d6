"""What the claiming processes and their test agree on."""

from services.captcha.banks.port import Times

ACCOUNT = "crd_a"
CAPACITY = 64
TIMES = Times(life=8.0, least=5.0, place=5.0)
