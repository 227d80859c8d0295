"""Making an expert of a PEFT adapter on the Hugging Face Hub: local, and vouched for by nobody.

Only safetensors are taken, never pickles, and only from a commit that the user names, so that the
same words bring the same weights. The adapter is converted for one base model and packed here.
"""

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from expert.errors import NotFoundError, ResourceError, UsageError, VerificationError
from expert.market.bases import identify
from expert.market.catalogue import Catalogue
from expert.market.commit import Progress
from expert.market.install import Confirm, Done, carry_out
from expert.market.market import Market
from expert.market.migrate import ADAPTER, adapter_entry
from expert.market.plan import Options, Plan, plan_install
from expert.market.resolver import Requirement
from expert.market.universe import Universe
from expert.models.hub import HubFile, Repository, endpoint, fetch, read_repository
from expert.package.container import inspect
from expert.package.manifest import SCHEMA, Base, Manifest
from expert.package.pack import pack, write_source_manifest
from expert.package.ranges import Range

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PUBLISHER = "imported"
"""Whose experts these are called; nobody signed them."""
MAX_CONFIG, MAX_WEIGHTS = 1 << 20, 8 << 30
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
_REFERENCE = re.compile(r"hf:(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<commit>[^@]+))?")


@dataclass(frozen=True, slots=True)
class ImportJob:
    """What to import, and for which base model."""

    reference: str
    """`hf:ORG/REPO@COMMIT`."""
    base: Path
    """The base model's GGUF file."""
    name: str | None = None
    """What to call the expert; by default what the repository is called."""
    rank: int | None = None
    """Approximate by a LoRA of this rank what has no exact one."""


def import_adapter(
    market: Market, job: ImportJob, confirm: Confirm, progress: Progress | None = None
) -> Done:
    """Fetch, convert, pack and install an adapter from the hub.

    Raises:
        UsageError: the reference is none, or names no commit.
        NotFoundError: there is no such repository, or it holds no adapter.
        NetworkNeededError: the hub cannot be reached.
        VerificationError: it holds pickles only, is damaged, or does not fit the base.
        ResourceError: the disk failed.
    """
    name, commit = _parse(job.reference)
    repository = read_repository(name, commit)
    files = {wanted: _file(repository, wanted) for wanted in (CONFIG, WEIGHTS)}
    cache = market.cache.parent / "downloads"
    parts = {
        wanted: fetch(repository, file, cache, progress if wanted == WEIGHTS else None)
        for wanted, file in files.items()
    }
    try:
        with tempfile.TemporaryDirectory(dir=cache, prefix=".import.") as scratch:
            source = Path(scratch) / "source"
            source.mkdir()
            for wanted, part in parts.items():
                shutil.copyfile(part, source / wanted)
            package = _pack(job, repository, source)
            done = _install(market, package, job.reference, confirm)
    except OSError as error:
        raise ResourceError(
            f"The adapter could not be prepared in {cache}.",
            f"{error.strerror or error}.",
            "Free some disk space.",
        ) from error
    for part in parts.values():
        part.unlink(missing_ok=True)
    return done


def _parse(reference: str) -> tuple[str, str]:
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise UsageError(
            f"{reference!a} is not a repository on the hub.", "", "Write hf:ORG/REPO@COMMIT."
        )
    name, commit = found["name"], found["commit"]
    if commit is None or not re.fullmatch("[0-9a-f]{40}", commit):
        newest = read_repository(name, commit).commit
        raise UsageError(
            f"{reference} does not say which state of the repository is meant.",
            "Branches and tags move; a commit stays what it is.",
            f"Look at it, then: expert import hf:{name}@{newest}",
        )
    return name, commit


def _file(repository: Repository, name: str) -> HubFile:
    file = repository.files.get(name)
    limit = MAX_CONFIG if name == CONFIG else MAX_WEIGHTS
    if file is not None and file.size <= limit:
        return file
    if file is not None:
        raise VerificationError(
            f"{name} of {repository.name} is too large.", f"It has {file.size} bytes.", ""
        )
    pickles = [path for path in repository.files if path.endswith(_PICKLES)]
    if name == WEIGHTS and pickles:
        raise VerificationError(
            f"{repository.name} has its adapter only as {pickles[0]}.",
            "Such files are pickles, which run what is in them when they are opened.",
            "Ask its author for adapter_model.safetensors.",
        )
    raise NotFoundError(
        f"{repository.name} holds no PEFT adapter.",
        f"It has no {name} at {repository.commit[:12]}.",
        "Choose a repository with adapter_config.json and adapter_model.safetensors.",
    )


def _pack(job: ImportJob, repository: Repository, folder: Path) -> Path:
    """Convert the adapter in *folder* and return the unsigned package made of it."""
    from expert_converters.errors import ConversionError
    from expert_converters.kinds import AdapterJob, convert_adapter

    title = job.name or repository.name.partition("/")[2]
    try:
        wanted = AdapterJob(folder, job.base, folder / ADAPTER, "q8_0", title, job.rank)
        report = convert_adapter(wanted)
    except ConversionError as error:
        raise VerificationError(error.what, error.why, error.fix) from error
    if report.form != "lora":
        raise UsageError(
            f"A {report.kind} adapter cannot be attached.",
            "llama.cpp has no exact form for it at run time.",
            "Approximate it with --rank.",
        )
    config = msgspec.json.decode((folder / CONFIG).read_bytes())
    for name in (CONFIG, WEIGHTS):
        (folder / name).unlink()
    write_source_manifest(_manifest(job, repository, slug(title), folder, config), folder)
    package = folder.parent / "imported.expert"
    pack(folder, package)
    return package


def _manifest(
    job: ImportJob, repository: Repository, name: str, folder: Path, config: dict[str, object]
) -> Manifest:
    identity = identify(job.base)
    # One commit makes another package for each base, and a version never has two contents.
    version = f"0.0.0-hf-{repository.commit[:12]}-{identity.norms[:8]}"
    made_for = config.get("base_model_name_or_path")
    return Manifest(
        schema=SCHEMA,
        publisher=PUBLISHER,
        name=name,
        version=version,
        summary=f"{repository.name} of the Hugging Face Hub, converted on this machine.",
        license=_line(repository.license) or "NOASSERTION",
        homepage=f"{endpoint()}/{repository.name}",
        bases=(
            Base(name=job.base.stem, identity=identity, adapter=adapter_entry(folder / ADAPTER)),
        ),
        extra={"commit": repository.commit, "base_model": _line(made_for) or "not stated"},
    )


def slug(text: str) -> str:
    """Return the closest name an expert can have.

    Raises:
        UsageError: nothing is left of it.
    """
    made = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")
    if not made:
        raise UsageError(f"{text!a} cannot be an expert's name.", "", "Give one with --name.")
    return made


def _line(text: object) -> str | None:
    """Return a short text that came from elsewhere, if it is one that can be shown."""
    usable = isinstance(text, str) and 0 < len(text) <= 100 and text.isprintable()
    return str(text) if usable else None


def _install(market: Market, package: Path, reference: str, confirm: Confirm) -> Done:
    """Install the package under the name of where it comes from."""

    def plan(catalogue: Catalogue) -> Plan:
        universe = Universe.open(catalogue)
        candidate = universe.add_file(inspect(package), package, reference).candidate
        root = Requirement(candidate.name, Range.parse(f"={candidate.version}"))
        return plan_install(catalogue, universe, [root], Options(allow_unsigned=True))

    return carry_out(market, plan, confirm, None)
