"""Encoders: folders, names, weights, fingerprints; with open_clip's own classes and random weights."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from index import encoder as encoders
from index.encoder import ByteTokenizer, Encoder, Preprocess, build_model, load_encoder, save_encoder
from index.errors import EncoderError
from tests.conftest import draw, make_encoder

NAMED_CFG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "head_width": 16, "layers": 1},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A tiny model that open_clip knows by name, with its weights as .safetensors and .pt."""
    import open_clip
    from open_clip import factory
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("named")
    (folder / "gog-test-tiny.json").write_text(json.dumps(NAMED_CFG))
    open_clip.add_model_config(folder / "gog-test-tiny.json")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = build_model(NAMED_CFG)
    save_file({name: tensor.clone() for name, tensor in model.state_dict().items()}, folder / "weights.safetensors")
    torch.save(model.state_dict(), folder / "weights.pt")
    yield folder
    factory._MODEL_CONFIG_PATHS.remove(folder / "gog-test-tiny.json")
    factory._MODEL_CONFIGS.pop("gog-test-tiny")


@pytest.fixture()
def pictures(rng) -> list[Image.Image]:
    sizes = [(5, 300), (64, 48), (1, 1), (33, 32), (200, 200), (31, 77), (400, 3)]
    return [Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)) for width, height in sizes]


def test_vectors_are_unit_float32_and_do_not_depend_on_the_batch(tiny_encoder, pictures):
    encoder = load_encoder(tiny_encoder)
    together = encoder.encode_images(pictures)
    assert together.shape == (7, encoder.dimension) == (7, 48) and together.dtype == np.float32
    assert np.abs(np.linalg.norm(together, axis=1) - 1).max() < 1e-6
    for size in (1, 2, 3):
        assert np.abs(encoder.encode_images(pictures, batch_size=size) - together).max() < 1e-5
    backwards = encoder.encode_images(pictures[::-1])[::-1]
    assert np.abs(backwards - together).max() < 1e-5
    assert encoder.encode_images([]).shape == encoder.encode_texts([]).shape == (0, 48)


def test_modes_do_not_matter_and_edges_do(tiny_encoder):
    encoder = load_encoder(tiny_encoder)
    picture = draw(3)
    same = encoder.encode_images([picture, picture.convert("RGBA")])
    assert (same[0] == same[1]).all()
    wide = Image.new("RGB", (120, 40), "white")
    edged = wide.copy()
    edged.paste("red", (0, 0, 20, 40))  # a centre crop would not see it
    plain, marked = encoder.encode_images([wide, edged])
    assert plain @ marked < 0.999
    assert encoder.image_size == (32, 32)


def test_the_fingerprint_is_of_content_not_of_place(tiny_encoder, tmp_path):
    first = load_encoder(tiny_encoder)
    moved = shutil.copytree(tiny_encoder, tmp_path / "moved")
    assert load_encoder(moved).fingerprint == first.fingerprint
    again = save_encoder(tmp_path / "again", first.model, first.model_cfg, first.preprocess)
    assert load_encoder(again).fingerprint == first.fingerprint
    assert load_encoder(make_encoder(tmp_path / "other", seed=1)).fingerprint != first.fingerprint
    with torch.no_grad():
        changed = load_encoder(moved)
        changed.model.visual.ln_post.bias[0] += 1e-3
    assert changed.fingerprint != first.fingerprint
    shifted = Preprocess((32, 32), (0.5, 0.5, 0.4), (0.25, 0.25, 0.25))
    assert Encoder(first.model, first.model_cfg, shifted).fingerprint != first.fingerprint


def test_open_clip_reads_what_we_write(tiny_encoder, pictures):
    import open_clip

    model = open_clip.create_model(f"local-dir:{tiny_encoder}").eval()
    encoder = load_encoder(tiny_encoder)
    with torch.inference_mode():
        theirs = model.encode_image(encoder.preprocess(pictures), normalize=True).numpy()
    assert np.abs(theirs - encoder.encode_images(pictures)).max() < 1e-6
    assert model.visual.preprocess_cfg["mean"] == [0.5, 0.5, 0.5]
    assert model.visual.preprocess_cfg["resize_mode"] == "squash"


def test_text_search_is_what_the_folder_says(tmp_path):
    assert not load_encoder(make_encoder(tmp_path / "a")).text_search
    folder = make_encoder(tmp_path / "b", text_search=True)
    assert load_encoder(folder).text_search
    config = json.loads((folder / encoders.CONFIG_NAME).read_text())
    del config["gog"]
    (folder / encoders.CONFIG_NAME).write_text(json.dumps(config))
    assert load_encoder(folder).text_search  # a plain open_clip model


def test_bytes_as_text():
    tokens = ByteTokenizer(8)(["Ab", "é", "", "x" * 50])
    assert tokens.shape == (4, 8) and tokens.dtype == torch.long and int(tokens.max()) < ByteTokenizer.vocab_size
    assert tokens[0].tolist() == [257, 98, 99, 258, 0, 0, 0, 0]
    assert tokens[1].tolist()[:4] == [257, 0xC3 + 1, 0xA9 + 1, 258]
    assert tokens[2].tolist()[:2] == [257, 258] and tokens[3, -1] == 258
    assert (tokens.argmax(dim=-1) == torch.tensor([3, 3, 1, 7])).all()
    assert (ByteTokenizer(8)("A  b") == ByteTokenizer(8)("a b")).all()


def test_texts_embed_alone_as_in_a_batch(tiny_encoder):
    encoder = load_encoder(tiny_encoder)
    texts = ["a flag", "", "ö" * 100]
    together = encoder.encode_texts(texts)
    alone = np.concatenate([encoder.encode_texts([text]) for text in texts])
    assert together.shape == (3, 48) and np.abs(together - alone).max() < 1e-5


def test_a_named_model_takes_weights_of_either_kind(named, pictures):
    loaded = [load_encoder(f"gog-test-tiny:{named / name}") for name in ("weights.safetensors", "weights.pt")]
    assert loaded[0].fingerprint == loaded[1].fingerprint
    assert (loaded[0].encode_images(pictures) == loaded[1].encode_images(pictures)).all()
    assert loaded[0].preprocess.mean == pytest.approx((0.481, 0.458, 0.408), abs=1e-3)  # CLIP's own
    assert loaded[0].text_search and loaded[0].encode_texts(["two words", "words"]).shape == (2, 16)


def test_a_tag_brings_its_weights_its_mean_and_its_activation(named, monkeypatch):
    from open_clip import pretrained

    tag = {"file": str(named / "weights.safetensors"), "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    tags = {"plain": tag, "quick": {**tag, "quick_gelu": True}}
    monkeypatch.setitem(pretrained._PRETRAINED, "gog-test-tiny", tags)
    plain, quick = (load_encoder(f"gog-test-tiny:{name}") for name in ("plain", "quick"))
    assert plain.preprocess.mean == (0.5, 0.5, 0.5) and plain.preprocess.std == (0.5, 0.5, 0.5)
    assert quick.model_cfg["quick_gelu"] is True and quick.fingerprint != plain.fingerprint
    assert np.abs(quick.encode_images([draw(1)]) - plain.encode_images([draw(1)])).max() > 1e-6


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("a checkpoint was executed",))


def test_a_checkpoint_is_never_executed(named, tmp_path):
    torch.save({"state_dict": Trap()}, tmp_path / "trap.pt")
    (tmp_path / "trap.bin").write_bytes(pickle.dumps(Trap()))
    for name in ("trap.pt", "trap.bin"):
        with pytest.raises(EncoderError, match="does not hold weights of this model"):
            load_encoder(f"gog-test-tiny:{tmp_path / name}")


def test_mistakes_are_one_line(named, tiny_encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(encoders, "NANO", tmp_path / "nano")
    truncated = shutil.copytree(tiny_encoder, tmp_path / "truncated")
    whole = (truncated / encoders.WEIGHTS_NAME).read_bytes()
    (truncated / encoders.WEIGHTS_NAME).write_bytes(whole[:-100])
    wrong = shutil.copytree(tiny_encoder, tmp_path / "wrong")
    shutil.copy(named / "weights.safetensors", wrong / encoders.WEIGHTS_NAME)
    garbled = shutil.copytree(tiny_encoder, tmp_path / "garbled")
    (garbled / encoders.CONFIG_NAME).write_text('{"model_cfg": {}}')
    (tmp_path / "hollow").mkdir()
    for spec, message in {
        "nano": "open_clip_config.json is missing; train one with `python -m index.train_encoder`",
        str(tmp_path / "nowhere"): "does not exist; name a folder",
        str(tmp_path / "hollow"): "open_clip_config.json is missing; name a folder",
        str(truncated): "does not hold weights of this model",
        str(wrong): "does not hold weights of this model",
        str(garbled): "is not a usable open_clip configuration",
        "ViT-B-33:openai": "no open_clip model or folder is called 'ViT-B-33'; did you mean ViT-B-32",
        "ViT-B-32": "names no weights; add :TAG (openai",
        "ViT-B-32:opnai": "opnai is neither a file nor a tag of ViT-B-32",
        "ViT-B-32:/no/weights.pt": "/no/weights.pt does not exist",
        f"gog-test-tiny:{tiny_encoder / encoders.WEIGHTS_NAME}": "does not hold weights of this model",
    }.items():
        with pytest.raises(EncoderError) as caught:
            load_encoder(spec)
        assert message in str(caught.value) and "\n" not in str(caught.value), spec
    with pytest.raises(EncoderError, match="cannot run on device nonsense"):
        load_encoder(tiny_encoder, device="nonsense")


def test_damaged_weights_do_not_give_vectors(tiny_encoder):
    encoder = load_encoder(tiny_encoder)
    encoder.model.visual.ln_post.weight.data.fill_(float("nan"))
    with pytest.raises(EncoderError, match="zero or not finite"):
        encoder.encode_images([draw(0)])


def test_nothing_random_is_drawn_from_the_global_generator_after_loading(tiny_encoder):
    encoder = load_encoder(tiny_encoder)
    state = torch.random.get_rng_state()
    encoder.encode_images([draw(0)])
    encoder.encode_texts(["x"])
    assert (torch.random.get_rng_state() == state).all()


@pytest.mark.slow
def test_vit_b_32_from_a_local_checkpoint(tmp_path, pictures):
    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = build_model(open_clip.get_model_config("ViT-B-32"))
    save_file({name: tensor.clone() for name, tensor in model.state_dict().items()}, tmp_path / "b32.safetensors")
    encoder = load_encoder(f"ViT-B-32:{tmp_path / 'b32.safetensors'}")
    assert encoder.image_size == (224, 224) and encoder.dimension == 512
    vectors = encoder.encode_images(pictures)
    assert vectors.shape == (7, 512) and np.abs(encoder.encode_images(pictures[:1]) - vectors[:1]).max() < 1e-5
    assert encoder.encode_texts(["a photo of a flag"]).shape == (1, 512)
