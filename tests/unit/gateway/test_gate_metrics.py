"""What an operator sees of the gate."""

from prometheus_client import CollectorRegistry, generate_latest

from services.gateway.admission import Slots
from services.gateway.gate import Gate
from services.gateway.gate_metrics import export_gate
from services.gateway.translation.fault import Action, Fault


async def test_states_limits_and_waits_are_shown_with_bounded_names() -> None:
    registry = CollectorRegistry()
    gate = Gate(Slots(10, 1, 1.0), 1)
    export_gate(registry, gate, lambda name: name == "glm-5.2")
    for model in ("glm-5.2", "mine", "yours"):
        passage = await gate.enter("crd", "host", "zai", model)
        passage.end(Fault(status=503, message="", action=Action.OVERLOAD))
        passage.end(Fault(status=502, message="", action=Action.RETRY), ours=True)
        passage.leave()
    for model, running in (("glm-6", 4), ("glm-7", 2)):
        passages = [await gate.enter("two", "host", "zai", model) for _ in range(running)]
        passages[0].end(Fault(status=429, message="", action=Action.THROTTLE))
    shown = generate_latest(registry).decode()

    assert 'zcode_breaker_state{kind="model",name="glm-5.2"} 2.0' in shown
    assert 'zcode_breaker_state{kind="model",name="other"} 2.0' in shown
    assert 'zcode_upstream_concurrency_limit{credential="two",model="other"} 1.0' in shown
    assert "zcode_upstream_waiting 0.0" in shown
    assert "mine" not in shown
