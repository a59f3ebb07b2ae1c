"""MySQL's date functions on ISO text. A value that is no date gives NULL, as MySQL does with a warning.

'Today' is a fixed day, so that a verdict does not depend on when it was made.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

NOW = datetime(2024, 6, 15, 12, 0, 0)
_DATE = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[ T](\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.\d+)?)?)?\Z")
_DIGITS = re.compile(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d))?\Z")
_CLOCK = re.compile(r"(\d{1,3}):(\d{1,2})(?::(\d{1,2}))?")


def moment(value: object) -> datetime | None:
    """A date or datetime from MySQL's usual spellings, or None."""
    if value is None:
        return None
    match = _DATE.match(str(value).strip()) or _DIGITS.match(str(value).strip())
    if not match:
        return None
    try:
        return datetime(*(int(part or 0) for part in match.groups()))
    except ValueError:
        return None


def _written(value: datetime, with_time: bool) -> str:
    return value.isoformat(sep=" ", timespec="seconds") if with_time else value.date().isoformat()


def _has_time(value: object) -> bool:
    return ":" in str(value)


def _of_date(take: Callable[[datetime], object]) -> Callable[[object], object]:
    def function(value: object) -> object:
        when = moment(value)
        return None if when is None else take(when)

    return function


def _of_clock(group: int) -> Callable[[object], int | None]:
    def function(value: object) -> int | None:
        if value is None:
            return None
        match = _CLOCK.search(str(value))
        if match:
            return int(match.group(group) or 0)
        return 0 if moment(value) else None

    return function


def _week(value: datetime) -> int:
    return int(value.strftime("%U"))  # WEEK() in MySQL's default mode 0: weeks begin on Sunday


def _last_day(value: datetime) -> str:
    following = (value.replace(day=28) + timedelta(days=4)).replace(day=1)
    return (following - timedelta(days=1)).date().isoformat()


def _plus_months(value: datetime, months: int) -> datetime:
    total = value.year * 12 + value.month - 1 + months
    year, month = divmod(total, 12)
    last = int(_last_day(datetime(year, month + 1, 1))[-2:])
    return value.replace(year=year, month=month + 1, day=min(value.day, last))


def shift(value: object, amount: object, unit: str) -> str | None:
    """DATE_ADD, `unit` being SECOND, MINUTE, HOUR, DAY, WEEK, MONTH, QUARTER or YEAR; None outside the calendar."""
    when = moment(value)
    if when is None or amount is None:
        return None
    try:
        count = int(Decimal(str(amount)).to_integral_value(ROUND_HALF_UP))
        if unit in ("MONTH", "QUARTER", "YEAR"):
            moved = _plus_months(when, count * {"MONTH": 1, "QUARTER": 3, "YEAR": 12}[unit])
        else:
            moved = when + timedelta(**{unit.lower() + "s": count})
    except (ValueError, OverflowError, InvalidOperation, KeyError, TypeError):
        return None
    return _written(moved, _has_time(value) or unit in ("SECOND", "MINUTE", "HOUR"))


def _date_diff(later: object, earlier: object) -> int | None:
    a, b = moment(later), moment(earlier)
    return None if a is None or b is None else (a.date() - b.date()).days


def _timestamp_diff(unit: str, start: object, end: object) -> int | None:
    a, b = moment(start), moment(end)
    if a is None or b is None:
        return None
    if unit in ("MONTH", "QUARTER", "YEAR"):
        sign, low, high = (1, a, b) if a <= b else (-1, b, a)
        months = (high.year - low.year) * 12 + high.month - low.month
        months -= (high.day, high.time()) < (low.day, low.time())
        return sign * (months // {"MONTH": 1, "QUARTER": 3, "YEAR": 12}[unit])
    seconds = (b - a).total_seconds()
    length = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400, "WEEK": 604800}.get(unit)
    return None if length is None else int(seconds / length)


_FORMATS: dict[str, Callable[[datetime], str]] = {
    "Y": lambda d: f"{d.year:04}", "y": lambda d: f"{d.year % 100:02}", "m": lambda d: f"{d.month:02}",
    "-m": lambda d: str(d.month), "d": lambda d: f"{d.day:02}", "-d": lambda d: str(d.day), "e": lambda d: str(d.day),
    "H": lambda d: f"{d.hour:02}", "-H": lambda d: str(d.hour), "I": lambda d: f"{(d.hour + 11) % 12 + 1:02}",
    "-I": lambda d: str((d.hour + 11) % 12 + 1), "M": lambda d: f"{d.minute:02}", "S": lambda d: f"{d.second:02}",
    "f": lambda d: f"{d.microsecond:06}", "p": lambda d: "AM" if d.hour < 12 else "PM",
    "B": lambda d: _MONTHS[d.month - 1],
    "b": lambda d: _MONTHS[d.month - 1][:3], "A": lambda d: _DAYS[d.weekday()], "W": lambda d: _DAYS[d.weekday()],
    "a": lambda d: _DAYS[d.weekday()][:3], "w": lambda d: str(d.isoweekday() % 7),
    "j": lambda d: f"{d.timetuple().tm_yday:03}",
    "U": lambda d: d.strftime("%U"), "u": lambda d: d.strftime("%W"), "T": lambda d: f"{d:%H:%M:%S}",
    "%": lambda d: "%",
}  # fmt: skip
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def date_format(value: object, form: str | None) -> str | None:
    """DATE_FORMAT with the placeholders as sqlglot hands them on (strftime's letters); names are always English."""
    when = moment(value)
    if when is None or form is None:
        return None
    return re.sub(r"%(-?.)", lambda m: _FORMATS[m[1]](when) if m[1] in _FORMATS else m[1], str(form))


def _str_to_date(value: object, form: str | None) -> str | None:
    if value is None or form is None:
        return None
    try:
        when = datetime.strptime(str(value), str(form).replace("%-", "%").replace("%T", "%H:%M:%S"))
    except ValueError:
        return None
    return _written(when, any(mark in form for mark in ("%H", "%-H", "%I", "%M", "%S", "%T")))


def _date(value: object) -> str | None:
    when = moment(value)
    return None if when is None else when.date().isoformat()


def _datetime(value: object) -> str | None:
    when = moment(value)
    return None if when is None else _written(when, True)


def _whole(value: object) -> int | None:
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return None


def _seconds(value: object) -> int | None:
    when = moment(value)
    return None if when is None else int((when - datetime(1970, 1, 1)).total_seconds())


def _from_seconds(value: object) -> str | None:
    exact = _whole(value)
    if exact is None or not 0 <= exact < 32536771200:
        return None
    return _written(datetime(1970, 1, 1) + timedelta(seconds=int(exact)), True)


DATES: dict[str, Callable] = {
    "my_year": _of_date(lambda d: d.year), "my_month": _of_date(lambda d: d.month),
    "my_day": _of_date(lambda d: d.day), "my_quarter": _of_date(lambda d: (d.month + 2) // 3),
    "my_week": _of_date(_week), "my_weekofyear": _of_date(lambda d: d.isocalendar()[1]),
    "my_yearweek": _of_date(lambda d: d.year * 100 + _week(d)),
    "my_dayofweek": _of_date(lambda d: d.isoweekday() % 7 + 1), "my_weekday": _of_date(lambda d: d.weekday()),
    "my_dayofyear": _of_date(lambda d: d.timetuple().tm_yday), "my_dayname": _of_date(lambda d: _DAYS[d.weekday()]),
    "my_monthname": _of_date(lambda d: _MONTHS[d.month - 1]), "my_last_day": _of_date(_last_day),
    "my_to_days": _of_date(lambda d: d.toordinal() + 365), "my_hour": _of_clock(1), "my_minute": _of_clock(2),
    "my_second": _of_clock(3), "my_time": _of_date(lambda d: f"{d:%H:%M:%S}"), "my_date": _date,
    "my_datetime": _datetime, "my_datediff": _date_diff, "my_timestampdiff": _timestamp_diff, "my_shift": shift,
    "my_date_format": date_format, "my_str_to_date": _str_to_date, "my_unix_timestamp": _seconds,
    "my_from_unixtime": _from_seconds,
    "my_makedate": lambda y, n: None if y is None or n is None else shift(f"{int(y):04}-01-01", int(n) - 1, "DAY"),
    "my_now": lambda: _written(NOW, True), "my_today": lambda: NOW.date().isoformat(),
    "my_clock": lambda: f"{NOW:%H:%M:%S}",
}  # fmt: skip
