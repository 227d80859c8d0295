"""The experts of this user's market, as the screens show them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from expert.config import load_config, save_setting
from expert.errors import ExpertError, VerificationError
from expert.market.bases import identify
from expert.market.install import install
from expert.market.market import Market
from expert.market.plan import Options, Plan
from expert.market.search import Details, search, show
from expert.package.manifest import BaseIdentity, Manifest
from expert.tui.backend import ExpertFacts

MOST = 500  # experts on the screen


class LocalShelf:
    """Lists, installs, disables and scales experts for the base in use."""

    def __init__(self, market: Market, base: Callable[[], Path]) -> None:
        self._market = market
        self._base = base

    def installed(self) -> Sequence[str]:
        """Return the names of the installed ones; looking creates nothing."""
        if not self._market.store.database.exists():
            return []
        with self._market.reading() as catalogue:
            return [one.qualified_name for one in catalogue.installed() if one.selected]

    def experts(self) -> Sequence[ExpertFacts]:
        """Return all of them, the installed ones first."""
        config = load_config()
        names = [f"{hit.publisher}/{hit.name}" for hit in search(self._market, "", MOST)]
        with self._market.reading() as catalogue:
            own = [one.qualified_name for one in catalogue.installed() if one.selected]
        identity = self._identity()
        facts = []
        for name in dict.fromkeys([*own, *names]):
            try:
                details = show(self._market, name)
            except ExpertError:  # a source that went away between listing and looking
                continue
            enabled = name not in config.disabled_experts
            facts.append(_facts(details, identity, enabled, config.expert_scales.get(name, 1.0)))
        return facts

    def install(self, name: str) -> None:
        """Install an expert that the user has seen and wants.

        Raises:
            VerificationError: there is more to agree to than was shown.
            ExpertError: it does not fit, or cannot be fetched or stored.
        """
        shown = self._facts_of(name).signer

        def agreed(plan: Plan) -> bool:
            return all(key.fingerprint == shown for key in plan.new_publishers.values())

        plan = install(self._market, [name], Options(base=self._identity()), agreed).plan
        if not agreed(plan):
            raise VerificationError(
                f"{name} was not installed.",
                "It needs experts of publishers whose keys are new here.",
                f"Install it with `expert install {name}`, which shows them all.",
            )

    def set_enabled(self, name: str, enabled: bool) -> None:
        """Let an installed expert be chosen by itself, or not."""
        disabled = load_config().disabled_experts - {name}
        save_setting("disabled", " ".join(sorted(disabled if enabled else disabled | {name})))

    def set_scale(self, name: str, scale: float) -> None:
        """Let an expert act more or less strongly from now on."""
        scales = load_config().expert_scales | {name: scale}
        texts = (f"{one}:{value:g}" for one, value in sorted(scales.items()) if value != 1)
        save_setting("scales", " ".join(texts))

    def _facts_of(self, name: str) -> ExpertFacts:
        return _facts(show(self._market, name), self._identity(), True, 1.0)

    def _identity(self) -> BaseIdentity:
        return identify(self._base())


def _facts(details: Details, identity: BaseIdentity, enabled: bool, scale: float) -> ExpertFacts:
    available, manifest = details.available, details.available.manifest
    return ExpertFacts(
        name=manifest.qualified_name,
        version=manifest.version,
        publisher=manifest.publisher,
        summary=manifest.summary,
        licence=manifest.license,
        signer=available.signer.fingerprint if available.signer else "",
        installed=details.installed is not None,
        fits=any(base.identity == identity for base in manifest.bases),
        size=manifest.unpacked_size,
        score="; ".join(_figures(manifest)),
        limitations=tuple(limit.description for limit in manifest.limitations),
        examples=tuple(manifest.routing.examples[:5]) if manifest.routing else (),
        enabled=enabled,
        scale=scale,
    )


def _figures(manifest: Manifest) -> list[str]:
    """Return what was measured, beside the base."""
    return [
        f"{figure.metric} {figure.expert:g}"
        + ("" if figure.base is None else f" (base {figure.base:g})")
        for figure in manifest.evaluation
    ]
