"""The options that commands share."""

from typing import Annotated

import typer

from bastide.cli.control import Control
from bastide.settings import Site, load

RegionOption = Annotated[
    str | None, typer.Option("--region", help="The region; the site's default_region if not given.")
]
RegionsOption = Annotated[
    str | None, typer.Option("--region", help="Only this region; all of the site's if not given.")
]
AgencyOption = Annotated[str, typer.Option("--agency", help="The agency's name or account.")]
WhoArgument = Annotated[str, typer.Argument(help="user/NAME or role/NAME")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def site_and_region(region: str | None) -> tuple[Site, str]:
    """The site's settings, and the region that a command means."""
    site = load()
    return site, region or site.settings.default_region


def site_and_regions(region: str | None) -> tuple[Site, list[str]]:
    """The site's settings, and the regions that a command means: the one named, else all."""
    site = load()
    return site, [region] if region else site.settings.names()


def control(region: str | None) -> Control:
    """The control socket of the region that a command means."""
    site, name = site_and_region(region)
    return Control(site, name)
