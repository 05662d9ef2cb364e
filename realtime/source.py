"""How a camera's source is named where others may read it: in the stream, the report, the log and every error."""

import re

_URL = re.compile(r"([^:/]+://)(?:[^/?#]*@)?([^@?#]*)(?:[?#][^@]*)?")


def shown(source: str) -> str:
    """The source as it is, but a URL without its user, password, query and fragment, which may be secrets.

    Where an @ leaves it open what belongs to a password, only the URL's scheme is left.
    """
    if "://" not in source:
        return source
    url = _URL.fullmatch(source)
    return "".join(url.groups()) if url else f"{source.partition('://')[0]}://..."
