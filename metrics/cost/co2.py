"""Emissions of a training, by the energy that was measured and the mix of a country's electricity (codecarbon)."""

from __future__ import annotations

import importlib.util

from bench import Estimate, GenbenchError, Omitted, Trainable, Trial, metric
from metrics.cost.energy import train_energy

JOULES = 3.6e6  # of a kilowatt-hour


def check(country: str) -> None:
    """Raises GenbenchError for what is no country that the library knows, or without the library."""
    if importlib.util.find_spec("codecarbon") is None:
        raise GenbenchError('co2: needs codecarbon: pip install "genbench[carbon]"')
    from codecarbon.input import DataSource

    known = {code.upper() for code in DataSource().get_global_energy_mix_data()}
    if country.upper() not in known:
        raise GenbenchError(f"co2:{country}: name a country by its three letters (ISO 3166), such as co2:DEU")


@metric("co2:", aspect="efficiency", unit="kg", better="lower", least=0, check=check)
def co2(trial: Trial[Trainable], country: str) -> Estimate:
    """Kilograms of CO2 and what equals it for the training's energy, by a country's mix: ``co2:DEU``."""
    from codecarbon.core.emissions import Emissions
    from codecarbon.core.units import Energy
    from codecarbon.external.geography import GeoMetadata
    from codecarbon.input import DataSource

    energy = train_energy(trial)
    place = GeoMetadata(country_iso_code=country.upper(), country_name=country.upper())
    kilograms = Emissions(DataSource()).get_country_emissions(Energy.from_energy(energy.value / JOULES), place)
    if kilograms is None:
        raise Omitted(f"codecarbon knows no mix of {country}")
    return Estimate(value=kilograms, n=1, protocol=energy.protocol)
