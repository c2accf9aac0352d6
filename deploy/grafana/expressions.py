"""PromQL as the panels ask it: over one namespace, at the pace of the dashboard."""

NS = 'namespace=~"$namespace"'
RATE = "$__rate_interval"
MODEL = "gen_ai_request_model"


def rate(metric: str, by: str = "", where: str = "") -> str:
    labels = f"{NS}, {where}" if where else NS
    return f"sum {f'by ({by}) ' if by else ''}(rate({metric}{{{labels}}}[{RATE}]))"


def quantile(share: float, metric: str, by: str = "", where: str = "") -> str:
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', f'le, {by}' if by else 'le', where)})"


def quantiles(metric: str) -> list[tuple[str, str]]:
    return [(quantile(share, metric), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)]


def gauge(metric: str, by: str, how: str = "max") -> str:
    return f"{how} by ({by}) ({metric}{{{NS}}})"
