"""The map the sandbox's freight moves on: real US cities, with coordinates and a telephone area code."""

from __future__ import annotations

import math

import attrs

EARTH_RADIUS_MILES = 3958.8
ROAD_FACTOR = 1.18


@attrs.frozen
class City:
    """A place freight starts from or goes to; degrees north and east."""

    name: str
    state: str
    latitude: float
    longitude: float
    area_code: int

    @property
    def location(self) -> dict[str, object]:
        """The place as the API writes it."""
        return {"city": self.name, "state": self.state, "latitude": self.latitude, "longitude": self.longitude}


CITIES = (
    City("Atlanta", "GA", 33.749, -84.388, 404),
    City("Baltimore", "MD", 39.2904, -76.6122, 410),
    City("Birmingham", "AL", 33.5186, -86.8104, 205),
    City("Boise", "ID", 43.615, -116.2023, 208),
    City("Charlotte", "NC", 35.2271, -80.8431, 704),
    City("Chicago", "IL", 41.8781, -87.6298, 312),
    City("Cincinnati", "OH", 39.1031, -84.512, 513),
    City("Columbus", "OH", 39.9612, -82.9988, 614),
    City("Dallas", "TX", 32.7767, -96.797, 214),
    City("Denver", "CO", 39.7392, -104.9903, 303),
    City("Des Moines", "IA", 41.5868, -93.625, 515),
    City("Detroit", "MI", 42.3314, -83.0458, 313),
    City("El Paso", "TX", 31.7619, -106.485, 915),
    City("Fresno", "CA", 36.7378, -119.7871, 559),
    City("Harrisburg", "PA", 40.2732, -76.8867, 717),
    City("Houston", "TX", 29.7604, -95.3698, 713),
    City("Indianapolis", "IN", 39.7684, -86.1581, 317),
    City("Jacksonville", "FL", 30.3322, -81.6557, 904),
    City("Kansas City", "MO", 39.0997, -94.5786, 816),
    City("Laredo", "TX", 27.5036, -99.5076, 956),
    City("Little Rock", "AR", 34.7465, -92.2896, 501),
    City("Los Angeles", "CA", 34.0522, -118.2437, 213),
    City("Louisville", "KY", 38.2527, -85.7585, 502),
    City("Memphis", "TN", 35.1495, -90.049, 901),
    City("Miami", "FL", 25.7617, -80.1918, 305),
    City("Minneapolis", "MN", 44.9778, -93.265, 612),
    City("Nashville", "TN", 36.1627, -86.7816, 615),
    City("Newark", "NJ", 40.7357, -74.1724, 973),
    City("Oklahoma City", "OK", 35.4676, -97.5164, 405),
    City("Omaha", "NE", 41.2565, -95.9345, 402),
    City("Phoenix", "AZ", 33.4484, -112.074, 602),
    City("Portland", "OR", 45.5152, -122.6784, 503),
    City("Reno", "NV", 39.5296, -119.8138, 775),
    City("Richmond", "VA", 37.5407, -77.436, 804),
    City("Salt Lake City", "UT", 40.7608, -111.891, 801),
    City("San Antonio", "TX", 29.4241, -98.4936, 210),
    City("Savannah", "GA", 32.0809, -81.0912, 912),
    City("Seattle", "WA", 47.6062, -122.3321, 206),
    City("St. Louis", "MO", 38.627, -90.1994, 314),
    City("Tampa", "FL", 27.9506, -82.4572, 813),
)


def straight_miles(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Measure the great circle between two points given as (latitude, longitude)."""
    lat_a, lat_b = math.radians(a[0]), math.radians(b[0])
    half_lat = (lat_b - lat_a) / 2
    half_lon = math.radians(b[1] - a[1]) / 2
    chord = math.sin(half_lat) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin(half_lon) ** 2
    return 2 * EARTH_RADIUS_MILES * math.asin(math.sqrt(chord))


def road_miles(origin: City, destination: City) -> float:
    """Estimate the driven distance: the straight one times what roads add on average."""
    direct = straight_miles((origin.latitude, origin.longitude), (destination.latitude, destination.longitude))
    return round(direct * ROAD_FACTOR, 1)


def nearest_city(latitude: float, longitude: float) -> City:
    """Find the city a truck at this position would report."""
    return min(CITIES, key=lambda city: straight_miles((city.latitude, city.longitude), (latitude, longitude)))
