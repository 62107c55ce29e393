"""All attacks, in the order in which they are run."""

from typing import Final

from tests.security import floods, framing, heads
from tests.security.attack import Attack

ALL: Final = (
    Attack("pipelining", floods.pipelining),
    Attack("deaf-pipelining", floods.deaf_pipelining),
    Attack("unread-answers", floods.unread_answers),
    Attack("upgrade-with-body", framing.upgrade_with_body),
    Attack("upgrade-behind-proxy", framing.upgrade_behind_a_proxy),
    Attack("upgrade-without-body", framing.upgrade_without_body),
    Attack("bodies", framing.bodies),
    Attack("empty-bodies", framing.empty_bodies),
    Attack("empty-bodies-behind-proxy", framing.empty_bodies_behind_a_proxy),
    Attack("dripping-bodies", framing.dripping_bodies),
    Attack("odd-heads", heads.odd_heads),
    Attack("endless-heads", heads.endless_heads),
    Attack("refusals-counted", heads.refusals_are_counted),
    Attack("click-and-garbage", framing.click_and_garbage),
    Attack("half-closed", framing.half_closed),
    Attack("many-pipelined", framing.many_pipelined),
    Attack("slow-heads", floods.slow_heads),
    Attack("silence", floods.silence),
    Attack("resets", floods.resets),
    Attack("idle", floods.idle),
    Attack("overload", floods.overload, newcomers=frozenset({200, 503})),
    Attack("bad-tokens", floods.bad_tokens),
)
BY_NAME: Final = {attack.name: attack for attack in ALL}
