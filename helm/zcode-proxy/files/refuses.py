"""Checks that a gateway refuses who has no key: python refuses.py http://gateway:80. Exit 0: it does."""

import json
import sys
import urllib.error
import urllib.request

BODY = json.dumps({"model": "glm-5.2", "max_tokens": 8, "messages": [{"role": "user", "content": "hello"}]}).encode()
WRONG = {"authorization": "Bearer zrp_wrong"}


def status_of(url: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Return the answer's status and body."""
    request = urllib.request.Request(url + path, BODY, {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def main() -> int:
    """Try both dialects, without a key and with a wrong one."""
    url, wrong = sys.argv[1], 0
    for path in ("/v1/chat/completions", "/v1/messages"):
        for name, headers in (("no key", {}), ("a wrong key", WRONG)):
            status, body = status_of(url, path, headers)
            good = status == 401 and "error" in json.loads(body)
            wrong += not good
            print(f"{'ok ' if good else 'BAD'} {path} with {name}: {status}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
