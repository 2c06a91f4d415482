"""What goes wrong on the coprocessor, as one line for the host."""


class Refused(Exception):
    """The host asked for what cannot be (`code` "config"), or the board is not as it should be ("fault")."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code, self.text = code, text
