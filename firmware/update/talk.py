"""An update as the edge hears it: who may, when, what; and the answers. Decides nothing about disks.

One host at a time talks with the edge, and what authorises an update is its signature. While samples are
acquired none is taken; while one is taken no case begins.
"""

from importlib import metadata

from firmware.errors import EdgeError
from firmware.update import selector as record
from firmware.update.incoming import Incoming
from firmware.update.launched import Launched
from firmware.update.selector import Selector
from firmware.update.slots import Slots, image_of
from hw.bundle import Manifest, decode_head, decode_manifest
from hw.link_update import UpdateAsk, UpdateOffer, UpdatePart, UpdateRequest, UpdateState

NO_LAUNCHER = "the edge was started without its launcher and has no slots; start firmware.update.launch"
ACQUIRING = "samples are being acquired, as in a case; end the case, restart the edge, then update"
WRITING = "an update is being written; begin the case when it is over"


class Updates:
    """Takes updates for an edge that `launched` started (None: it takes none). One thread."""

    def __init__(self, launched: Launched | None, slots: Slots | None = None) -> None:
        self._launched = launched
        self._slots = slots or (launched.slots() if launched is not None else None)
        self._incoming: Incoming | None = None
        self._told_again = False
        self.installed = False
        """Whether an update waits to be started."""

    @property
    def busy(self) -> bool:
        """Whether an update is being written or waits to be started, so that no case may begin."""
        return self._incoming is not None or self.installed

    def hang_up(self) -> None:
        """The host is gone or begins anew; what it sent is gone on with when it is offered again."""
        self._incoming = None

    def hear(self, request: UpdateRequest, acquiring: bool) -> UpdateState | None:
        """The answer to one message; None where none is needed."""
        command = 0 if isinstance(request, UpdatePart) else request.command
        if isinstance(request, UpdateAsk):
            return self._state(command, "idle", self._last())
        try:
            if self._launched is None or self._slots is None:
                raise EdgeError(NO_LAUNCHER)
            if acquiring:
                raise EdgeError(ACQUIRING)
            if isinstance(request, UpdatePart):
                return self._part(request)
            if self.installed:
                raise EdgeError("an update was installed and is about to start; wait for it")
            if isinstance(request, UpdateOffer):
                return self._offer(request, self._launched, self._slots)
            return self._install(command, self._slots)
        except EdgeError as error:
            self._incoming = None
            return self._state(command, "refused", str(error))

    def _offer(self, offer: UpdateOffer, launched: Launched, slots: Slots) -> UpdateState:
        # Here and not above: an edge that takes no update needs no cryptography.
        from firmware.update.signing import signer, trusted_keys

        self._incoming = None
        selector = self._selector(slots)
        try:
            head = decode_head(offer.head)
            signer(head, trusted_keys(launched.keys))
            manifest = decode_manifest(head.manifest)
        except ValueError as error:
            raise EdgeError(f"not a bundle for this box: {error}") from None
        if why := _older(manifest, selector, image_of(offer.head)):
            raise EdgeError(why)
        incoming = Incoming(slots, record.free_slot(selector), offer.head, manifest)
        incoming.begin()
        self._incoming, self._told_again = incoming, False
        return self._state(offer.command, "receiving", "", incoming.at)

    def _selector(self, slots: Slots) -> Selector:
        """Which must be the one that started us, or the wrong slot would be written."""
        selector = slots.selector() or Selector()
        if self._launched is None or selector.slot != self._launched.slot:
            raise EdgeError("which slot runs is not what was selected; restart the edge, then update")
        if selector.trial:
            raise EdgeError("what runs is itself on trial; wait until it stays")
        return selector

    def _part(self, part: UpdatePart) -> UpdateState | None:
        incoming = self._incoming
        if incoming is None:
            return None  # of an offer that was refused: the host has been told
        if part.at > incoming.at:
            again, self._told_again = not self._told_again, True
            return self._state(0, "again", "", incoming.at) if again else None
        if part.at == incoming.at:
            self._told_again = False
            incoming.part(part.part)
        return self._state(0, "receiving", "", incoming.at)

    def _install(self, command: int, slots: Slots) -> UpdateState:
        incoming = self._incoming
        if incoming is None:
            raise EdgeError("nothing was offered that could be installed; offer it first")
        selector = self._selector(slots)
        incoming.finish()
        head = image_of(incoming.head)
        try:
            slots.select(record.on_trial(selector, incoming.slot, head))
        except OSError as error:
            raise EdgeError(f"cannot select slot {incoming.slot}: {error.strerror or error}") from None
        self.installed = True
        self._incoming = None
        return self._state(command, "installed", f"{incoming.manifest.named} in slot {incoming.slot}")

    def _last(self) -> str:
        selector = self._slots.selector() if self._slots else None
        return selector.told if selector else ""

    def _state(self, command: int, stage: str, text: str, at: int = 0) -> UpdateState:
        slot = self._launched.slot if self._launched is not None else ""
        selector = self._slots.selector() if self._slots is not None else None
        manifest = self._slots.manifest(slot) if self._slots is not None else None
        version = manifest.version if manifest else metadata.version("evokd")
        trial = selector is not None and selector.trial and selector.slot == slot
        one_line = " ".join(text.split())
        build = manifest.build if manifest else 0
        return UpdateState(command, stage, at, one_line, version, build, slot, int(trial))


def _older(manifest: Manifest, selector: Selector, image: str) -> str:
    """Why this build may not take the place of what was good here, "" when it may."""
    if not selector.trial and selector.images.get(selector.slot) == image:
        return f"{manifest.named} runs here already"
    if manifest.build > selector.floor or selector.floor <= manifest.may_replace:
        return ""
    return (
        f"{manifest.named} is not newer than build {selector.floor}, which was good here; an older one "
        f"needs a bundle made with --may-replace {selector.floor}"
    )
