"""
Same-dialect streams: byte for byte, but for the repairs of translation.md A11.4.

    repair            what both machines share: cutting into frames, the fast path, ending well or not
    frames            cuts a stream into frames without changing a byte
    template          the fast path: a read that holds only more of the same is passed on whole
    openai_repair     the machine for OpenAI's chunks; openai_rewrite makes the repaired chunk
    call_slots        which tool call a fragment of OpenAI's belongs to
    anthropic_repair  the machine for Anthropic's events; anthropic_rewrite makes the repaired event
"""
