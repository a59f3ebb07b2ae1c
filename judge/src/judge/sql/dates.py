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
_WHOLE_CLOCK = re.compile(_CLOCK.pattern + r"(?:\.\d*)?\Z")


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


def clock(value: object) -> str | None:
    """A time of day as HH:MM:SS, from '9:00', '09:00:00' or the digits HHMMSS as MySQL reads them; None for others."""
    text = str(value).strip()
    match = _WHOLE_CLOCK.match(text)
    if match:
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
    elif re.fullmatch(r"\d{1,6}", text):
        hours, minutes, seconds = int(text) // 10000, int(text) // 100 % 100, int(text) % 100
    else:
        return None
    return f"{hours:02}:{minutes:02}:{seconds:02}" if minutes < 60 and seconds < 60 else None


def _time(value: object) -> str | None:
    when = moment(value)
    return clock(value) if when is None else f"{when:%H:%M:%S}"


def week(when: datetime, mode: int) -> tuple[int, int]:
    """(year, number) of the week in MySQL's modes 0 to 7 (reference manual, WEEK()).

    Odd modes begin the week on Monday, the others on Sunday. Modes 1, 3, 4 and 6 count from the week that has four
    or more days in the year, the others from the year's first Sunday or Monday. Days before that are in week 0 in
    modes 0, 1, 4 and 5; in the others they are in the last week of the year before, as the last days of a year can be
    in week 1 of the next.
    """
    mode &= 7
    monday, whole = bool(mode & 1), bool(mode & 2)

    def first_day(year: int) -> int:
        """Day number of the first day of week 1; years outside the calendar count too."""
        before = year - 1
        new_year = 365 * before + before // 4 - before // 100 + before // 400 + 1
        weekday = (new_year - monday) % 7  # days since the week began: day 1 is a Monday
        first = new_year - weekday
        in_year = 7 - weekday
        counts = in_year >= 4 if mode in (1, 3, 4, 6) else in_year == 7
        return first if counts else first + 7

    day, year = when.toordinal(), when.year
    if day < first_day(year):
        if not whole:
            return year, 0
        year -= 1
    elif whole and day >= first_day(year + 1):
        year += 1
    return year, (day - first_day(year)) // 7 + 1


def _week(value: object, mode: object = 0) -> int | None:
    when = moment(value)
    return None if when is None else week(when, _whole(mode) or 0)[1]


def _year_week(value: object, mode: object = 0) -> int | None:
    """YEARWEEK has no week 0: whatever the mode, the first days of a year can be in the last week of the one before."""
    when = moment(value)
    if when is None:
        return None
    year, number = week(when, (_whole(mode) or 0) | 2)
    return year * 100 + number


def _with_suffix(day: int) -> str:
    return f"{day}{'th' if 10 < day < 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th')}"


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
    "b": lambda d: _MONTHS[d.month - 1][:3], "A": lambda d: _DAYS[d.weekday()],
    "a": lambda d: _DAYS[d.weekday()][:3], "w": lambda d: str(d.isoweekday() % 7),
    "j": lambda d: f"{d.timetuple().tm_yday:03}",
    "T": lambda d: f"{d:%H:%M:%S}", "D": lambda d: _with_suffix(d.day), "%": lambda d: "%",
    # Weeks and their years. sqlglot hands %u on as %W and %x as %G; %W and its kin have other letters by then.
    "U": lambda d: f"{week(d, 0)[1]:02}", "W": lambda d: f"{week(d, 1)[1]:02}", "u": lambda d: f"{week(d, 1)[1]:02}",
    "V": lambda d: f"{week(d, 2)[1]:02}", "v": lambda d: f"{week(d, 3)[1]:02}",
    "X": lambda d: f"{week(d, 2)[0]:04}", "G": lambda d: f"{week(d, 3)[0]:04}", "x": lambda d: f"{week(d, 3)[0]:04}",
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
    "my_week": _week, "my_weekofyear": _of_date(lambda d: d.isocalendar()[1]), "my_yearweek": _year_week,
    "my_dayofweek": _of_date(lambda d: d.isoweekday() % 7 + 1), "my_weekday": _of_date(lambda d: d.weekday()),
    "my_dayofyear": _of_date(lambda d: d.timetuple().tm_yday), "my_dayname": _of_date(lambda d: _DAYS[d.weekday()]),
    "my_monthname": _of_date(lambda d: _MONTHS[d.month - 1]), "my_last_day": _of_date(_last_day),
    "my_to_days": _of_date(lambda d: d.toordinal() + 365), "my_hour": _of_clock(1), "my_minute": _of_clock(2),
    "my_second": _of_clock(3), "my_time": _time, "my_date": _date,
    "my_datetime": _datetime, "my_datediff": _date_diff, "my_timestampdiff": _timestamp_diff, "my_shift": shift,
    "my_date_format": date_format, "my_str_to_date": _str_to_date, "my_unix_timestamp": _seconds,
    "my_from_unixtime": _from_seconds,
    "my_makedate": lambda y, n: None if y is None or n is None else shift(f"{int(y):04}-01-01", int(n) - 1, "DAY"),
    "my_now": lambda: _written(NOW, True), "my_today": lambda: NOW.date().isoformat(),
    "my_clock": lambda: f"{NOW:%H:%M:%S}",
}  # fmt: skip
