"""The sentences of an explanation, in English and Spanish."""

from collections.abc import Mapping
from enum import StrEnum

__all__ = ["WORDS", "Language"]


class Language(StrEnum):
    """What an explanation is written in."""

    ENGLISH = "en"
    SPANISH = "es"


_ENGLISH = {
    "probes": "probes",
    "events": "events",
    "slices": "slices of {length}",
    "promise": "Promise: {sli}, for {objective} % of all {events}, over a window that is {window}.",
    "allowance": "So {allowed} % may fail: {count:.1f} {events}, or {outage} of total outage. That is the error budget.",
    "unmeasured": "Nothing has been measured in this window yet, so nobody knows whether the promise is kept.",
    "measured": "Measured: {good} good and {bad} bad of {total} {events} ({ratio} good)."
    " {consumed} of the budget is spent, {left} is left: {time} of total outage.",
    "uncounted": " Not counted: {missed} probes that did not run, {excluded} that failed by our own fault (login, grant).",
    "uncounted_events": " Not counted: {missed} events that were missed, {excluded} that say nothing of the service"
    " (not valid, or without a duration).",
    "corrupt": " {count} stored slots contradict themselves and are left out.",
    "no_traffic": "There is no valid measurement yet, or the cluster has no endpoint for this SLO.",
    "telemetry_lost": "Measurements have stopped: the budget is not being kept, it is unknown.",
    "source_down": "Every recent probe failed: for clients the database is down.",
    "fires": "{severity} {rule} fires since {since}: {why}.",
    "page": "PAGE",
    "ticket": "TICKET",
    "guarded": "{rule} would fire, but so few bad {events} may be chance; it waits for more.",
    "suppressed": "{rule} is met as well, and waits while the page lasts.",
    "spent": "The budget is spent.",
    "pace": "At the pace of the last hour the budget is gone in {time}",
    "pace_never": "; as old errors leave the window, it never is",
    "pace_aged": "; as old errors leave the window, in {time}",
    "now": "Now: ",
    "calm": "nothing is burning, and no alert is under way.",
    "why_silent": "no valid measurement for more than {time}",
    "why_burns": "the budget burns {rate} as fast as it may over {window} (limit {limit})",
    "times": "times",
    "rules": "Burn rate 1 spends exactly the whole budget in one window; 14.4 spends it 14.4 times as fast.\n"
    "Who is told when (both windows must burn; the short one ends the alert soon after the errors end):",
    "rule": "  {rule}: {severity} above {limit} over {long} and {short}; {spent} of the budget is spent by then",
    "a_page": "a page",
    "a_ticket": "a ticket",
    "table": "How long errors last until a rule fires, if there were none before (in whole {events}):",
    "errors": "errors",
    "first_told": "budget spent when first told",
    "never": "never",
    "limits": "One probe each {interval}: an outage shorter than that may go unseen, and each bad probe costs {cost} of the"
    " budget.",
    "limits_events": "Each bad one of these {events} costs {cost} of the budget, at the traffic that was seen.",
    "rolling": "rolling {length}",
    "calendar": "calendar {unit} ({zone})",
    "day": "day", "week": "week", "month": "month", "quarter": "quarter", "year": "year",
}  # fmt: skip

_SPANISH = {
    "probes": "sondas",
    "events": "eventos",
    "slices": "intervalos de {length}",
    "promise": "Promesa: {sli}, en el {objective} % de todos los casos ({events}), en una ventana {window}.",
    "allowance": "Puede fallar el {allowed} %: {count:.1f} {events}, o {outage} de caída total."
    " Ese es el presupuesto de errores.",
    "unmeasured": "Todavía no se ha medido nada en esta ventana, así que nadie sabe si la promesa se cumple.",
    "measured": "Medido: {good} buenos y {bad} malos de {total} {events} ({ratio} buenos)."
    " Se ha gastado el {consumed} del presupuesto y queda el {left}: {time} de caída total.",
    "uncounted": " No cuentan: {missed} sondas que no se ejecutaron y {excluded} que fallaron por culpa nuestra"
    " (acceso, permisos).",
    "uncounted_events": " No cuentan: {missed} eventos perdidos y {excluded} que no dicen nada del servicio"
    " (no válidos, o sin duración).",
    "corrupt": " {count} intervalos guardados se contradicen y quedan fuera.",
    "no_traffic": "Aún no hay ninguna medición válida, o el clúster no tiene punto de acceso para este SLO.",
    "telemetry_lost": "Las mediciones se han detenido: el presupuesto no se cumple ni se incumple, se desconoce.",
    "source_down": "Han fallado todas las sondas recientes: para los clientes la base de datos está caída.",
    "fires": "{severity} {rule} está activa desde {since}: {why}.",
    "page": "GUARDIA",
    "ticket": "TAREA",
    "guarded": "{rule} se activaría, pero tan pocos malos ({events}) pueden ser casualidad; espera a tener más.",
    "suppressed": "{rule} también se cumple, y espera mientras dura el aviso a la guardia.",
    "spent": "El presupuesto está agotado.",
    "pace": "Al ritmo de la última hora el presupuesto se agota en {time}",
    "pace_never": "; como los errores antiguos salen de la ventana, no llega a agotarse",
    "pace_aged": "; como los errores antiguos salen de la ventana, en {time}",
    "now": "Ahora: ",
    "calm": "nada está consumiendo el presupuesto y no hay ninguna alerta en curso.",
    "why_silent": "ninguna medición válida desde hace más de {time}",
    "why_burns": "el presupuesto se consume {rate} más rápido de lo permitido durante {window} (límite {limit})",
    "times": "veces",
    "rules": "Una tasa de consumo de 1 gasta exactamente todo el presupuesto en una ventana; 14.4 lo gasta 14.4 veces más"
    " rápido.\n"
    "A quién se avisa y cuándo (deben arder las dos ventanas; la corta termina la alerta poco después de los errores):",
    "rule": "  {rule}: {severity} por encima de {limit} durante {long} y {short}; para entonces se ha gastado el {spent} del"
    " presupuesto",
    "a_page": "aviso a la guardia",
    "a_ticket": "tarea",
    "table": "Cuánto duran los errores hasta que una regla se activa, si antes no hubo ninguno ({events} sin fracciones):",
    "errors": "errores",
    "first_told": "presupuesto gastado al primer aviso",
    "never": "nunca",
    "limits": "Una sonda cada {interval}: una caída más corta puede pasar inadvertida, y cada sonda mala cuesta el {cost} del"
    " presupuesto.",
    "limits_events": "Cada uno malo de estos {events} cuesta el {cost} del presupuesto, con el tráfico observado.",
    "rolling": "móvil de {length}",
    "calendar": "de calendario: {unit} ({zone})",
    "day": "día", "week": "semana", "month": "mes", "quarter": "trimestre", "year": "año",
}  # fmt: skip

WORDS: Mapping[Language, Mapping[str, str]] = {Language.ENGLISH: _ENGLISH, Language.SPANISH: _SPANISH}
"""By language, then by what is said; the same placeholders in each."""
