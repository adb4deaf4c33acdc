"""cubecli run."""

from __future__ import annotations

import click

from cubelet.api.v1.sandboxes_pb2 import CreateRequest, Resources, Spec
from cubelet.cli.client import connected
from cubelet.cli.requests import key_option
from cubelet.cli.values import Bytes, Cpus, KeyValue

_PAIR = KeyValue()


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--id", "sandbox_id", default="", help="Its id; default: a new one.")
@click.option("--runtime", default="", help="What runs it; default: the agent's choice.")
@click.option("--template", default="", help="Its root: a name the agent has, or a path.")
@click.option("--snapshot", default="", help="The snapshot to start from.")
@click.option("--env", multiple=True, type=_PAIR, help="A variable of its environment.")
@click.option("--cwd", default="", help="Where it starts.")
@click.option("--cpus", type=Cpus(), default=None, help="At most so many cores.")
@click.option("--memory", type=Bytes(), default=None, help="At most so much memory, as 256Mi.")
@click.option("--label", multiple=True, type=_PAIR, help="A label, to find it by.")
@click.option("--annotation", multiple=True, type=_PAIR, help="A note for other programs.")
@key_option
@click.argument("args", nargs=-1, required=True)
def command(  # noqa: PLR0913  # One parameter per option; click gives them by name.
    *,
    sandbox_id: str,
    runtime: str,
    template: str,
    snapshot: str,
    env: tuple[tuple[str, str], ...],
    cwd: str,
    cpus: int | None,
    memory: int | None,
    label: tuple[tuple[str, str], ...],
    annotation: tuple[tuple[str, str], ...],
    key: str,
    args: tuple[str, ...],
) -> None:
    """Make a sandbox, start it and print its id.

    Returns when it runs. Put -- before a command that has options of its own:

      cubecli run --cpus 0.5 -- sh -c 'sleep 60'
    """
    spec = Spec(
        runtime=runtime,
        template=template,
        snapshot=snapshot,
        args=args,
        env=dict(env),
        cwd=cwd,
        resources=Resources(cpu_milli=cpus or 0, memory_bytes=memory or 0),
        labels=dict(label),
        annotations=dict(annotation),
    )
    with connected() as agent:
        request = CreateRequest(id=sandbox_id, spec=spec, idempotency_key=key)
        click.echo(agent.sandboxes.Create(request).sandbox.id)
