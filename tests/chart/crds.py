"""
The kinds that are not built into Kubernetes, as far as this chart uses them: what their CRDs require, allow and refuse.

Written down from the published APIs (monitoring.coreos.com/v1, keda.sh/v1alpha1, gateway.networking.k8s.io/v1, cert-manager.io/v1) field by
field, and closed: a field that the chart starts to use is refused until it stands here, which is where to look it up.
"""

from typing import Any, Final

import jsonschema


def _object(required: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": fields, "additionalProperties": False}


def _list(items: Any, least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least}


_TEXT: Final = {"type": "string", "minLength": 1}
_ANY: Final[dict[str, Any]] = {"type": "object"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_TEXTS: Final = {"type": "object", "additionalProperties": {"type": "string"}}
_DURATION: Final = {
    "type": "string",
    "pattern": r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
}
_GATEWAY_DURATION: Final = {"type": "string", "pattern": r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"}
_SELECTOR: Final = _object(matchLabels=_TEXTS)
_RELABEL: Final = _object(
    sourceLabels=_list(_TEXT),
    separator=_TEXT,
    targetLabel=_TEXT,
    regex=_TEXT,
    modulus=_COUNT,
    replacement={"type": "string"},
    action=_TEXT,
)
_ENDPOINT: Final = _object(
    ("port",),
    port=_TEXT,
    path=_TEXT,
    interval=_DURATION,
    scrapeTimeout=_DURATION,
    relabelings=_list(_RELABEL),
    metricRelabelings=_list(_RELABEL),
)
_NAMESPACES: Final = _object(matchNames=_list(_TEXT), any={"type": "boolean"})
_RULE: Final = {
    **_object(
        ("expr",),
        alert=_TEXT,
        record={"type": "string", "pattern": "^[a-zA-Z_:][a-zA-Z0-9_:]*$"},
        expr={"type": ["string", "integer"]},
        labels=_TEXTS,
        annotations=_TEXTS,
        keep_firing_for=_DURATION,
        **{"for": _DURATION},
    ),
    "oneOf": [{"required": ["alert"]}, {"required": ["record"]}],
}

SPECS: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("monitoring.coreos.com/v1", "ServiceMonitor"): _object(
        ("selector", "endpoints"), selector=_SELECTOR, endpoints=_list(_ENDPOINT), namespaceSelector=_NAMESPACES
    ),
    ("monitoring.coreos.com/v1", "PodMonitor"): _object(
        ("selector",), selector=_SELECTOR, podMetricsEndpoints=_list(_ENDPOINT), namespaceSelector=_NAMESPACES
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): _object(
        groups={
            "type": "array",
            "items": _object(("name",), name=_TEXT, interval=_DURATION, limit=_COUNT, rules=_list(_RULE)),
        }
    ),
    ("cert-manager.io/v1", "Certificate"): _object(
        ("secretName", "issuerRef"),
        secretName=_TEXT,
        issuerRef=_object(("name",), name=_TEXT, kind=_TEXT, group=_TEXT),
        dnsNames=_list(_TEXT),
        duration=_GATEWAY_DURATION,
        renewBefore=_GATEWAY_DURATION,
        usages=_list({"enum": ["digital signature", "key encipherment", "server auth", "client auth"]}),
        privateKey=_object(
            algorithm={"enum": ["RSA", "ECDSA", "Ed25519"]},
            size={"enum": [256, 384, 521, 2048, 4096, 8192]},
            rotationPolicy={"enum": ["Never", "Always"]},
        ),
    ),
    ("keda.sh/v1alpha1", "ScaledObject"): _object(
        ("scaleTargetRef", "triggers"),
        scaleTargetRef=_object(("name",), name=_TEXT, kind=_TEXT, apiVersion=_TEXT),
        minReplicaCount=_COUNT,
        maxReplicaCount=_COUNT,
        pollingInterval=_COUNT,
        cooldownPeriod=_COUNT,
        fallback=_object(("failureThreshold", "replicas"), failureThreshold=_COUNT, replicas=_COUNT),
        advanced=_object(horizontalPodAutoscalerConfig=_object(behavior=_ANY)),
        triggers=_list(_object(("type", "metadata"), type=_TEXT, metadata=_TEXTS), 1),
    ),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): _object(
        parentRefs=_list(_object(("name",), name=_TEXT, namespace=_TEXT, sectionName=_TEXT, port=_COUNT), 1),
        hostnames=_list(_TEXT),
        rules=_list(
            _object(
                matches=_list(
                    _object(
                        path=_object(type={"enum": ["Exact", "PathPrefix", "RegularExpression"]}, value=_TEXT),
                        headers=_list(_ANY),
                    )
                ),
                filters=_list(_ANY),
                timeouts=_object(request=_GATEWAY_DURATION, backendRequest=_GATEWAY_DURATION),
                backendRefs=_list(_object(("name",), name=_TEXT, port=_COUNT, weight=_COUNT)),
            )
        ),
    ),
}


def judge(document: dict[str, Any]) -> bool:
    """Check an object of one of these kinds; False when it is of another. Raises jsonschema.ValidationError."""
    spec = SPECS.get((document["apiVersion"], document["kind"]))
    if spec is None:
        return False
    jsonschema.validate(document["spec"], spec)
    return True
