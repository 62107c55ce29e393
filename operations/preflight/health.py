"""The checks of health: alarms, queues, bus and rule, tokens, this machine's clock."""

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Final

from operations.account.facts import Alarm, QueueDepth, Route, TokenTrial
from operations.preflight.capacity import Commands
from operations.preflight.findings import Colour, Finding

_SKEW_S: Final = 2.0
"""AWS's Date header has whole seconds."""
_GREAT_SKEW_S: Final = 60.0
_NAMED: Final = 5
"""How many alarms a line names."""


def alarms(found: Sequence[Alarm], commands: Commands) -> Iterator[Finding]:
    """Each alarm notifies somebody, and none is ringing."""
    mute = [alarm.name for alarm in found if not alarm.recipients]
    if not found:
        yield Finding(
            check="alarm recipients",
            colour=Colour.RED,
            found="the stacks have no alarms",
            needed="those of the templates",
            change=f"participation deploy --stack {commands.stack}",
        )
        return
    yield Finding(
        check="alarm recipients",
        colour=Colour.RED if mute else Colour.GREEN,
        found=f"{len(mute)} of {len(found)} notify nobody: {_some(mute)}"
        if mute
        else f"all {len(found)} notify somebody",
        needed="a recipient for each",
        change=commands.set("AlarmTopicArn", "arn:aws:sns:…") if mute else "",
    )
    ringing = [alarm.name for alarm in found if alarm.state == "ALARM"]
    yield Finding(
        check="alarms ringing",
        colour=Colour.RED if ringing else Colour.GREEN,
        found=_some(ringing) if ringing else f"none of {len(found)}",
        needed="none",
        change=f"participation status --stack {commands.stack}, and the runbooks" * bool(ringing),
    )


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def queue_empty(check: str, depth: QueueDepth, change: str) -> Finding:
    """What is on a queue of failures before the event hides what the event adds."""
    return Finding(
        check=check,
        colour=Colour.RED if depth.total else Colour.GREEN,
        found=f"{depth.total:,} message(s)",
        needed="none",
        change=change if depth.total else "",
    )


def requests_waiting(depth: QueueDepth, commands: Commands) -> Finding:
    """What is on the queue before the event is decided before the event's own requests."""
    return Finding(
        check="requests waiting",
        colour=Colour.YELLOW if depth.total else Colour.GREEN,
        found=f"{depth.total:,} message(s)",
        needed="none before the event",
        change=f"participation status --stack {commands.stack} --watch" if depth.total else "",
    )


def route(state: Route, commands: Commands) -> Finding:
    """Without bus and rule, nothing reaches the lake, and PutEvents does not say so."""
    is_on = state.rule_state == "ENABLED"
    change = (
        f"aws events enable-rule --name {state.rule_name} "
        f"--event-bus-name {state.bus_name} --region {commands.region}"
    )
    return Finding(
        check="bus and rule",
        colour=Colour.GREEN if is_on else Colour.RED,
        found=f"bus {state.bus_name}, rule {state.rule_name} {state.rule_state}",
        needed="a bus, and the rule ENABLED",
        change="" if is_on else change,
    )


def clock(ahead_s: float) -> Finding:
    """This machine's clock beside AWS's; what the tasks' clocks show is AWS's affair."""
    off = abs(ahead_s)
    is_right = off <= _SKEW_S
    where = f"{off:.0f} s {'ahead of' if ahead_s > 0 else 'behind'}"
    colour = Colour.RED if off >= _GREAT_SKEW_S else Colour.YELLOW
    return Finding(
        check="clock",
        colour=Colour.GREEN if is_right else colour,
        found=f"this machine is {'right by' if is_right else where} AWS's; the tasks' are AWS's",
        needed=f"within {_SKEW_S:.0f} s, or times and tokens made here are wrong",
        change="" if is_right else "sudo timedatectl set-ntp true",
    )


def tokens(trial: TokenTrial, commands: Commands) -> Finding:
    """Ingest verifies tokens, and accepts ours where there is one."""
    source, status = trial.source, trial.status
    if not source.has_secret and source.jwks_url is None:
        change = commands.set("JwtSecretArn", "arn:aws:secretsmanager:…")
        return _token(Colour.RED, "ingest has neither JWT_SECRET nor JWKS_URL", change)
    if trial.key_set_error is not None:
        change = commands.set("JwksUrl", "https://…")
        return _token(Colour.YELLOW, f"from here, no key set: {trial.key_set_error}", change)
    if status is None:
        change = "look from where users are, or give --ingest-url"
        return _token(Colour.YELLOW, f"from here, {trial.ingest_error}", change)
    if trial.has_token and status == HTTPStatus.OK:
        return _token(Colour.GREEN, "ingest accepts one")
    if trial.has_token and status == HTTPStatus.UNAUTHORIZED:
        change = "give the secret that ingest has as JWT_SECRET, or a user's token as SMOKE_TOKEN"
        return _token(Colour.RED, "ingest refuses the one given", change)
    if status != HTTPStatus.UNAUTHORIZED:
        change = f"participation status --stack {commands.stack}, and ingest's logs"
        return _token(Colour.RED, f"ingest answers {status}", change)
    if source.jwks_url is not None:
        return _token(Colour.GREEN, "the key set is usable, and ingest asks for a token")
    change = "set JWT_SECRET or SMOKE_TOKEN, and look again"
    return _token(Colour.YELLOW, "ingest asks for one, and there was none to try", change)


def _token(colour: Colour, found: str, change: str = "") -> Finding:
    needed = "users' tokens are accepted"
    return Finding(check="tokens", colour=colour, found=found, needed=needed, change=change)
