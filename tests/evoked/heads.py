"""A head for the study of derivations (seeded): leads, generators in three shells, muscles, electrodes.

12 leads against a non-cephalic reference. Patients differ in the place and direction of what generates their
median-nerve response, in their muscles and in their electrodes. A model to measure against, no part of the
product.
"""

import numpy as np
from numpy.typing import NDArray

from dsp.montage import candidates

Floats = NDArray[np.float64]
RATE_HZ = 1000.0
LOW_HZ, HIGH_HZ = 30.0, 450.0
"""The cortical band of facts/clinical (30 to 500 Hz) as far as this rate holds it."""
TIMES_MS = np.arange(-5.0, 51.0)
QUIET_ROWS = 130
"""Response-free rows before each sweep: 60 ms after one stimulus to 20 ms before the next."""

# Degrees from the vertex and anticlockwise from the right ear (90: forehead, 180: left ear), after 10-20
# geometry; C3' and C4' are 2 cm behind C3 and C4. Left hemisphere: the right median nerve is stimulated.
LEADS = {
    "CP3": (51.0, 208.0),
    "CP4": (51.0, -28.0),
    "CPz": (22.0, 270.0),
    "C3'": (48.0, 195.0),
    "C4'": (48.0, -15.0),
    "Cz'": (12.0, 270.0),
    "P3": (60.0, 231.0),
    "Pz": (45.0, 270.0),
    "F3": (60.0, 129.0),
    "Fz": (45.0, 90.0),
    "Fpz": (90.0, 90.0),
    "Neck": (135.0, 270.0),
}
"""Neck stands for C5S: far below, at the back."""
NAMES = tuple(LEADS)
CORTICAL = tuple(name for name in NAMES if name != "Neck")
PAIRS = candidates(NAMES, active=CORTICAL, against=CORTICAL)
"""What a search for the cortical response may choose: pairs of scalp leads, where far fields cancel."""
WEIGHTS = np.array([pair.weights for pair in PAIRS])
STANDARD = [pair.name for pair in PAIRS].index("CP3-Fpz")

SHELLS = (0.87, 0.92)
"""Radii of brain and skull over the scalp's: three concentric spheres (Rush & Driscoll 1968 proportions)."""
SKULL = 1.0 / 25.0
"""Conductivity of the skull over the brain's; reported values run from 1/15 to 1/80."""
HEAD_M, BRAIN_S_M = 0.092, 0.33


def place(theta: float, phi: float) -> Floats:
    """Unit vector (right, forward, up) of degrees from the vertex and around it."""
    t, p = np.radians(theta), np.radians(phi)
    return np.array([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)])


POINTS = np.stack([place(*at) for at in LEADS.values()])


def potential(at: Floats, moment_nam: Floats, points: Floats = POINTS) -> Floats:
    """Microvolts (..., point) of dipoles (..., 3) of `moment_nam` at `at` (scalp radii), three shells (Ary,
    Klein & Fender 1981: a series of Legendre polynomials)."""
    depth = np.linalg.norm(at, axis=-1, keepdims=True)
    out = at / depth
    radial = np.sum(moment_nam * out, axis=-1, keepdims=True)
    x = np.clip(out @ points.T, -1.0, 1.0)
    aside = (moment_nam - radial * out) @ points.T
    f1, f2 = SHELLS
    legendre, before, slope = x, np.ones_like(x), np.ones_like(x)
    total = np.zeros_like(x)
    for n in range(1, 41):
        whole = (n + 1) * SKULL + n
        d = whole * (n * SKULL / (n + 1) + 1) - n * (1 - SKULL) ** 2 * (f1 / f2) ** (2 * n + 1)
        d += (1 - SKULL) * whole * (f1 ** (2 * n + 1) - f2 ** (2 * n + 1))
        share = SKULL * (2 * n + 1) ** 3 / (d * (n + 1) * n) * depth ** (n - 1)
        total += share * (n * radial * legendre + aside * slope)
        slope = x * slope + (n + 1) * legendre
        legendre, before = ((2 * n + 1) * x * legendre - n * before) / (n + 1), legendre
    return np.asarray(total * 1e-9 / (4 * np.pi * BRAIN_S_M * HEAD_M**2) * 1e6)


def bump(at_ms: float, width_ms: float) -> Floats:
    return np.asarray(np.exp(-np.minimum(0.5 * ((TIMES_MS - at_ms) / width_ms) ** 2, 300.0)))


def turned(about: Floats, vector: Floats, degrees: float) -> Floats:
    """`vector` turned about the unit vector `about`."""
    a = np.radians(degrees)
    along = about * (about @ vector)
    return np.asarray(along + (vector - along) * np.cos(a) + np.cross(about, vector) * np.sin(a))


def response(rng: np.random.Generator) -> Floats:
    """One patient's response (time, lead) in microvolts against the non-cephalic reference.

    N20: tangential dipole of area 3b in the posterior bank of the central sulcus, pointing forward and to the
    middle, 15 to 20 mm below the scalp; its later phases turn it round. P25: radial dipole of area 1 beside
    it (Allison 1991). Places vary by about 8 mm and directions by 20 degrees between patients. A moment
    of 6 nAm gives 1 to 2 uV at CP3-Fpz, as facts/dsp 3.1 has it. P14 and N18: far fields, the same on the
    scalp but for a tenth; N13: on the neck.
    """
    at_n20 = place(38.0 + 5.0 * rng.normal(), 187.0 + 8.0 * rng.normal()) * (0.79 + 0.02 * rng.normal())
    at_p25 = place(35.0 + 5.0 * rng.normal(), 190.0 + 8.0 * rng.normal()) * (0.81 + 0.02 * rng.normal())
    out = at_n20 / np.linalg.norm(at_n20)
    forward = np.array([0.0, 1.0, 0.0]) - out[1] * out
    along = turned(out, forward / np.linalg.norm(forward), -20.0 + 20.0 * rng.normal())
    along = turned(np.cross(out, along), along, 10.0 * rng.normal())
    moment = 6.0 * np.exp(0.3 * rng.normal())
    late = 19.5 + 0.8 * rng.normal()
    n20 = bump(late, 1.6) - rng.uniform(0.5, 1.0) * bump(late + 7.0, 2.6) + 0.4 * bump(late + 14.0, 3.5)
    p25 = rng.uniform(0.2, 0.8) * (bump(late + 4.5, 2.2) - 0.4 * bump(late + 13.0, 3.5))
    radial = moment * at_p25 / np.linalg.norm(at_p25)
    made = np.outer(n20, potential(at_n20, moment * along)) + np.outer(p25, potential(at_p25, radial))
    neck = np.array(NAMES) == "Neck"
    scalp = np.where(neck, 0.0, 1.0 + 0.05 * rng.normal() * POINTS[:, 1] + 0.05 * rng.normal() * POINTS[:, 0])
    far = rng.uniform(0.3, 1.0) * bump(late - 5.5, 0.8) - rng.uniform(0.2, 0.6) * bump(late - 0.5, 3.0)
    return made + np.outer(far, scalp) - np.outer(rng.uniform(0.5, 1.5) * bump(late - 6.3, 1.2), neck)


def lead_noise(rng: np.random.Generator, emg_share: float) -> tuple[Floats, Floats]:
    """One patient's noise covariances (lead, lead) in uV^2: of EEG, and of EMG, electrodes and reference.

    EEG: 300 dipoles of all directions in the cortex, so smooth over the scalp. EMG: frontal, temporal and
    neck muscles, independent places whose field falls off by e in 3 cm; strengths vary by a factor of about
    1.6. CP3-Fpz has 5 to 10 uVrms in all (facts/dsp 3.1), `emg_share` of the power EMG, give or take.
    Electrodes and amplifier: 1 uVrms each, times about 1.6; the reference on the shoulder: 5 uVrms.
    """
    towards, moments = rng.normal(size=(2, 300, 3))
    at = 0.80 * towards / np.linalg.norm(towards, axis=1, keepdims=True)
    sources = potential(at, moments).T
    muscles = [(95.0, 90.0 + a) for a in (-25, -12, 0, 12, 25)]
    muscles += [(theta, 90.0 + side * a) for side in (-1, 1) for theta in (85.0, 105.0) for a in (70, 85)]
    muscles += [(theta, 270.0 + a) for theta in (115.0, 135.0) for a in (-25, -8, 8, 25)]
    group = np.repeat([0, 1, 2, 3], [5, 4, 4, 8])
    strength = np.exp(0.5 * rng.normal(size=4))[group]
    away = np.linalg.norm(POINTS[:, None] - np.stack([place(*m) for m in muscles])[None], axis=2)
    fields = np.exp(-away * HEAD_M / 0.03) * strength
    eeg, emg = sources @ sources.T, fields @ fields.T
    row = WEIGHTS[STANDARD]
    odds = emg_share / (1.0 - emg_share) * np.exp(0.5 * rng.normal())
    power = rng.uniform(5.0, 10.0) ** 2
    eeg *= power / (1.0 + odds) / (row @ eeg @ row)
    emg *= power * odds / (1.0 + odds) / (row @ emg @ row)
    own = np.diag((1.0 * np.exp(0.5 * rng.normal(size=len(row)))) ** 2)
    return eeg, emg + own + np.full(own.shape, 25.0)


def colour(slope: float, rows: int) -> Floats:
    """Root (row, row) of the covariance of `rows` rows of unit power in the band, 1/f^slope."""
    hz = np.arange(0.5, RATE_HZ / 2.0, 1.0)
    density = np.where((hz >= LOW_HZ) & (hz <= HIGH_HZ), hz**-slope, 1e-6 * HIGH_HZ**-slope)
    lags = np.cos(2.0 * np.pi * np.outer(np.arange(rows) / RATE_HZ, hz)) @ (density / density.sum())
    return np.linalg.cholesky(lags[np.abs(np.subtract.outer(np.arange(rows), np.arange(rows)))])


COLOURS = {rows: (colour(1.0, rows), colour(0.0, rows)) for rows in (len(TIMES_MS), QUIET_ROWS)}


def noise(rng: np.random.Generator, factors: Floats, roots: tuple[Floats, ...], rows: int) -> Floats:
    """Noise (sweep, row, lead) with a factor per sweep; roots (lead, lead) of EEG's and EMG's covariance."""
    total = np.zeros((rows, len(factors), len(roots[0])), np.float32)
    for root, time in zip(roots, COLOURS[rows], strict=True):
        white = rng.standard_normal((rows, len(factors) * root.shape[1]), dtype=np.float32)
        coloured = (time.astype(np.float32) @ white).reshape(rows, len(factors), -1)
        total += coloured @ root.T.astype(np.float32)
    return np.ascontiguousarray((total * factors[:, None].astype(np.float32)).transpose(1, 0, 2))
