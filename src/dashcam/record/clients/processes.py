"""Calls in other processes, which belong to the story of their submitter."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, cast

import wrapt
from opentelemetry.context import Context, get_value

from dashcam.record.context import recorder
from dashcam.record.context.current import attach, detach
from dashcam.record.context.headers import extract, headers
from dashcam.record.context.service import Service
from dashcam.record.logs.line import CONTEXT_FIELDS
from dashcam.record.values.sanitizer import Sanitizer


@dataclass(frozen=True, slots=True)
class _Carried:
    """A call in another process, in the context of its submitter; also where the process was not there before."""

    init: Callable[..., None]
    service: Service | None
    headers: dict[str, str]
    fields: dict[str, Any]

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.service and not recorder.running():
            self.init(self.service.name, self.service.version)
        context = extract(self.headers, Context())
        token = attach(Context({**context, CONTEXT_FIELDS: self.fields}) if self.fields else context)
        try:
            return function(*args, **kwargs)
        finally:
            detach(token)


def carry_into_processes(init: Callable[..., None], module: ModuleType) -> None:
    """Have each call that a `ProcessPoolExecutor` gets belong to the story of its submitter, and to no other.

    A process that does not record yet calls `init` first.
    A worker that is forked in a request would else log under that request's ID for as long as it lives.
    """

    def submit(submit: Callable[..., Any], _: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        active = recorder.current()
        fields = Sanitizer().fields(cast("dict[str, Any]", get_value(CONTEXT_FIELDS) or {}))
        service = active.service if isinstance(active, recorder.Recorder) else None
        return submit(_Carried(init, service, headers(), fields), *args, **kwargs)

    wrapt.wrap_function_wrapper(module, "ProcessPoolExecutor.submit", submit)
