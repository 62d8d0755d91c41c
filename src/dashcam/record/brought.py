"""The loggers that exist only because of what we import; imported before all of it."""

import logging

LOGGERS = {"asyncio", "concurrent", "opentelemetry", "packaging"} - logging.Logger.manager.loggerDict.keys()
