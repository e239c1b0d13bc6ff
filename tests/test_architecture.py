"""The house: imports point one way, `import rotoscope` is light, the public names are those that are meant."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rotoscope

SOURCE = Path(rotoscope.__file__).parent

# A room may import the rooms named here, and itself. `models` is one room for each system plus the shared part.
ALLOWED = {
    "errors": set(),
    "types": set(),
    "figures": {"types"},
    "files": {"errors"},
    "names": set(),
    "interrupts": set(),
    "bounds": {"errors"},
    "masks": {"bounds", "types", "errors", "files", "names"},
    "video": {"types", "errors", "files", "interrupts", "names"},
    "ops": {"bounds", "types", "errors"},
    "render": {"types", "errors", "figures", "files", "masks"},
    "backbones": {"types", "errors", "ops"},
    "models": {"bounds", "types", "errors", "figures", "ops", "masks", "backbones"},
    "metrics": {"bounds", "types", "errors", "files", "masks", "ops"},
    "data": {"bounds", "types", "errors", "files", "names", "masks", "ops", "video"},
    "evaluation": {"types", "errors", "figures", "files", "masks", "metrics", "data", "render"},
    "inference": {
        *("types", "errors", "bounds", "figures", "files", "interrupts", "names", "masks", "video", "render", "ops"),
        *("backbones", "models"),
    },
    "training": {
        *("types", "errors", "figures", "files", "masks", "video", "render", "ops", "backbones", "models", "data"),
        *("metrics", "inference", "bounds"),
    },
    "weights": set(),
}
SHARED_ROOMS = {"memory"}  # in `models`, beside the systems
# Training a system needs clips and a loop; running it must not import them.
EXTRA = {
    f"models/{name}/training.py": {"data"}
    for name in ("three_dc_seg", "d2conv3d", "stm", "dmn_aoa", "stem_seg", "visolo", "propose_reduce")
} | {"models/propose_reduce/kept_work.py": {"files"}}  # what a run that is stopped leaves


def imports(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("rotoscope"):
            yield node.module
            if node.module == "rotoscope":
                yield from (f"rotoscope.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("rotoscope"))


def modules():
    return sorted(path for path in SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_imports_point_one_way(path):
    inside = path.relative_to(SOURCE)
    room = inside.parts[0].removesuffix(".py")
    if room in ("cli", "__init__", "__main__"):
        return
    allowed = ALLOWED[room] | {room} | EXTRA.get(inside.as_posix(), set())
    for module in imports(path):
        target = module.split(".")[1] if "." in module else ""
        if target:
            assert target in allowed, f"{inside} imports {module}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_no_system_imports_another(path):
    inside = path.relative_to(SOURCE)
    if inside.parts[0] == "models" and len(inside.parts) > 2:
        systems = {folder.name for folder in (SOURCE / "models").iterdir() if folder.is_dir()} - SHARED_ROOMS
        for module in imports(path):
            parts = module.split(".")
            if parts[1] == "models" and len(parts) > 2:
                assert parts[2] not in systems - {inside.parts[1]}, f"{inside} imports {module}"


def test_only_the_video_room_imports_av():
    for path in modules():
        if "video" in path.relative_to(SOURCE).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] in ("av", "torchvision", "cv2") for name in names), path


def loaded_by(code):
    script = f"import sys; {code}; print(*[m for m in ('torch', 'av', 'scipy', 'tyro', 'rotoscope.training.loop') "
    script += "if m in sys.modules])"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()


def test_importing_the_package_is_light():
    assert loaded_by("import rotoscope") == []


def test_metrics_do_not_need_torch():
    assert loaded_by("import rotoscope.evaluation.benchmarks, rotoscope.evaluation.submission") == []


def test_help_does_not_import_torch():
    code = "from rotoscope.cli.app import main\ntry: main(['--help'])\nexcept SystemExit: pass\nimport sys"
    script = f"{code}\nprint('torch' in sys.modules, 'av' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False"


def test_inference_does_not_import_training():
    assert "rotoscope.training.loop" not in loaded_by("import rotoscope.inference.loading, rotoscope.models.contract")


def test_public_names():
    assert set(rotoscope.__all__) == {
        *("Declaration", "Frame", "FrameResult", "Model", "ObjectMask", "Prompt", "RotoscopeError", "RunLength"),
        *("Segmentation", "Session", "Track", "VideoInfo", "VideoWriter", "__version__"),
        *("from_published", "load", "open_video"),
    }
    for name in rotoscope.__all__:
        assert getattr(rotoscope, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = rotoscope.nonsense
