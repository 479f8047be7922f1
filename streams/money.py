"""Amounts of money: exact, in decimal, and by the minor units that ISO 4217 gives each currency.

Sources: ISO 4217 list one (minor units); CLDR, by babel, for how a locale writes an amount. CLDR's own number of digits
is how prices are usually *shown* (none for ALL or RSD, which have cents): it is not used for amounts. Some providers
differ from the standard for a few currencies, as Stripe does for ISK and UGX: their pages say so.
"""

from __future__ import annotations

import copy
import re
from decimal import Decimal, InvalidOperation, localcontext

_AMOUNT = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,20})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}", re.ASCII)
_UNITS_MAX = 10**30
_EXCEPTIONS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_DIGITS = {currency: digits for digits, currencies in _EXCEPTIONS.items() for currency in currencies.split()}


def to_minor_units(amount: object, currency: str) -> int:
    """Return an amount such as ``"12.34"`` in the currency's smallest unit: cents, yen, fils.

    Raises:
        ValueError: it is no amount, has more decimals than the currency, or the currency is unknown.
    """
    digits = minor_digits(currency)
    units = _exact(amount).scaleb(digits)
    if units != units.to_integral_value():
        raise ValueError(f"the amount has more decimals than {currency} has")
    return int(units)


def from_minor_units(units: object, currency: str) -> str:
    """Return an amount in the currency's smallest unit as a decimal text: ``1234`` cents are ``12.34``.

    Raises:
        ValueError: it is not a whole number, or the currency is unknown.
    """
    digits = minor_digits(currency)
    number = _exact(units)
    if number != number.to_integral_value():
        raise ValueError("an amount in minor units is a whole number")
    return format(number.to_integral_value().scaleb(-digits), f".{digits}f")


def money(amount: object, currency: str, locale: str = "en_US") -> str:
    """Return an amount as a locale writes it: ``1234.5`` in ``EUR`` and ``de_DE`` is ``1.234,50 €``.

    Raises:
        ValueError: it is no amount, has more decimals than the currency, or currency or locale is unknown.
    """
    from babel import Locale, UnknownLocaleError  # 50 ms, and most mappings hold no money

    to_minor_units(amount, currency)
    if _LOCALE.fullmatch(locale) is None:
        raise ValueError("the locale is unknown")
    try:
        found = Locale.parse(locale, sep="-" if "-" in locale else "_")
    except (UnknownLocaleError, ValueError):
        raise ValueError("the locale is unknown") from None
    pattern = copy.copy(found.currency_formats["standard"])
    pattern.frac_prec = (minor_digits(currency), minor_digits(currency))
    return str(pattern.apply(_exact(amount), found, currency=currency, currency_digits=False))


def minor_digits(currency: str) -> int:
    """Return how many decimals a currency has.

    Raises:
        ValueError: there is no such currency.
    """
    from babel.numbers import list_currencies

    if not isinstance(currency, str) or _CURRENCY.fullmatch(currency) is None or currency not in list_currencies():
        raise ValueError("the currency is not one of ISO 4217, such as EUR")
    return _DIGITS.get(currency, 2)


def _exact(amount: object) -> Decimal:
    """Return the number as it is written: a float's shortest text is what stood in the JSON."""
    if isinstance(amount, bool) or not isinstance(amount, int | float | str):
        raise TypeError("the amount is not a number")
    if isinstance(amount, int) and abs(amount) > _UNITS_MAX:
        raise ValueError("the amount is too large")
    text = repr(amount) if isinstance(amount, float) else str(amount).strip()
    if isinstance(amount, float) and "e" in text:
        text = format(amount, ".20f").rstrip("0") if abs(amount) < 1 else format(amount, ".1f")
    if _AMOUNT.fullmatch(text.removesuffix(".")) is None:
        raise ValueError("the amount is not a decimal number")
    with localcontext(prec=60):
        try:
            return Decimal(text)
        except InvalidOperation:
            raise ValueError("the amount is not a decimal number") from None
