"""irctl incident: open one, write down what happens, watch its clocks, close and pack it."""

from __future__ import annotations

from irctl.cli.base import Group
from irctl.cli.commands import incident_entries, incident_lifecycle, incident_views
from irctl.cli.commands.incident_pack import pack

command = Group(
    name="incident",
    help="Open, follow and close an incident, and pack its evidence.\n\n"
    "ID is an incident's id or the end of it, such as 001. --incident or IRCTL_INCIDENT may name it instead; without any, on a "
    "terminal, the one that is open is offered.",
    epilog='Example: irctl incident open --title "API answers with errors" --severity P1',
)
for one in (*incident_lifecycle.COMMANDS, *incident_entries.COMMANDS, *incident_views.COMMANDS, pack):
    command.add_command(one)
