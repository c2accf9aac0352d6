"""The one exception that pure translation code raises."""


class TranslationError(Exception):
    """
    The request cannot be translated without changing what it means.

    `message` is shown to the client as it is; `param` is the path of the field at fault (`messages.3.content.0`),
    `code` a stable word for OpenAI's `error.code`. `status` is 400 but for the cases that name another.
    """

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status
