"""What the explorer allows, in one place. The page is given the limits that it needs when it starts."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that a question may ask for, and how much is computed and kept."""

    # One descent.
    steps: int = 60
    settling_steps: int = 200  # where the descent runs until it settles
    settled: float = 1e-4  # the share of the gradient that may be left along the sphere once a descent has settled

    first_steps: int = 2  # of a large model, shown before the rest of a descent is computed

    # One reading.
    columns: int = 4  # compared side by side
    thumbnails: int = 12  # on a page of the gallery
    gradient_lines: int = 61  # a longer descent does not show a line for every state
    epoch_steps: int = 24  # of each epoch's descent; nine epochs of 24 steps make 0.9 MB
    noise: float = 2.0  # on the start tokens
    seed: int = 2**32 - 1
    band_pictures: int = 64
    band_seconds: float = 4.0  # after which a band is made of the pictures computed so far
    band_patience: float = 2.0  # seconds to wait while other people's bands are computed
    film_states: int = 61  # of a longer descent, in a GIF and in the arrays of a ZIP
    strip_states: int = 25  # of a longer descent, in the strip of a ZIP
    export_patience: float = 20.0  # seconds to wait while other people's files are made

    # An uploaded picture.
    file_bytes: int = 2 * 2**20
    file_side: int = 4096  # pixels

    # A request to the server.
    body_bytes: int = 3 * 2**20  # a picture of `file_bytes` in base64, and the question around it
    body_values: int = 10_000  # commas and brackets: a million of them would take seconds to read, for everybody
    bodies_bytes: int = 64 * 2**20  # of all requests that are being received
    body_seconds: float = 30.0  # for a request to arrive

    # The server.
    connections: int = 600
    sessions: int = 200  # whose state Gradio keeps; the page needs none
    closing_seconds: int = 10  # for the answers that are being computed when the server is stopped
    waiting: int = 32  # questions at once; others are turned away with a sentence
    models: int = 40  # in memory: enough for the snapshots of several runs
    galleries: int = 16  # in memory, 30 MB each at 10,000 pictures of 32x32 pixels
    traces: int = 6  # in memory, for the views that look more closely at what is on screen
    bands: int = 64  # in memory, about 10 KB each

    def for_page(self) -> dict:
        """The limits that the page keeps to, as `Service.start` sends them."""
        return {
            "steps": self.steps,
            "settling_steps": self.settling_steps,
            "settled": self.settled,
            "file": {"bytes": self.file_bytes, "side": self.file_side},
        }


LIMITS = Limits()
