"""The pages of figures: what is wrong right now, the errors in groups, and who calls whom."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import flask

from dashcam.errors import QueryError, StoreEmpty
from dashcam.find.query import Expression, Store
from dashcam.show.errors import find_newest_errors
from dashcam.show.overview import build_overview
from dashcam.show.service_map import build_map
from dashcam.show.web import map_layout, page
from dashcam.show.web.address import Address
from dashcam.show.web.finder import current_finder
from dashcam.show.web.lists import MAX_READ, visible, whole_period

MAX_ROUTES = 200
MAX_GROUPS = 100
MAX_FIGURES = 30  # arrows of a map that have their figures beside them; the table below has those of all

Found = TypeVar("Found")

pages = flask.Blueprint("figures", __name__)


@pages.get("/")
def show_overview() -> Any:
    """The requests by service and route, what changed, and the events over time."""
    return _show("overview", "/", build_overview, max_routes=MAX_ROUTES)


@pages.get("/errors")
def show_errors() -> Any:
    """The errors in groups."""
    return _show("errors", "/errors", partial(find_newest_errors, most=MAX_READ), max_groups=MAX_GROUPS)


@pages.get("/map")
def show_map() -> Any:
    """The services, databases and hosts that call each other."""
    find = partial(build_map, most=MAX_READ)
    return _show("map", "/map", find, draw=map_layout.draw, layout=map_layout, max_figures=MAX_FIGURES)


def _show(
    name: str, path: str, find: Callable[[Store, Expression, int, int], Found], **values: Any
) -> str | tuple[str, int]:
    """Return the page of what is found in the period of its address."""
    address = Address.read(path, flask.request.args, since="1h")
    shown = {"here": name, "address": address, **values}
    try:
        wanted = visible(address.q)
        with current_finder().open() as store:
            return page.render(
                f"{name}.html", found=find(store, wanted, *whole_period(store, address, wanted)), **shown
            )
    except QueryError as error:
        return page.render(f"{name}.html", fault=error, **shown), 400
    except StoreEmpty as empty:
        return page.render(f"{name}.html", hint=str(empty), **shown)
