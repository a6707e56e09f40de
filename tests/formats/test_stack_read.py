"""Stacks of images: every encoding gives the voxels that were written, by whatever program."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkvol
from chunkvol.errors import DamagedError, DecoderError, FormatError, InputError
from chunkvol.formats.stack import is_image_file, is_stack
from chunkvol.formats.stack.planes import StackPlanes
from tests.support.images import TIFFS, bmp_bytes, grey_stack, png_bytes, write_slices, write_tiff

tifffile = pytest.importorskip("tifffile")
imagecodecs = pytest.importorskip("imagecodecs")

MM = (0.7, 0.5, 0.3)


def opened(path: Path, **options: Any) -> chunkvol.Volume:
    return chunkvol.open_volume(path, spacing=MM, **options)


def planes_of(volume: chunkvol.Volume) -> StackPlanes:
    source = volume.source
    assert isinstance(source, StackPlanes)
    return source


# ------------------------------------------------------------------------------------------------------- TIFF


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("name", TIFFS)
def test_a_tiff_of_every_encoding_and_type_is_read(tmp_path: Path, name: str, dtype: str) -> None:
    options = dict(TIFFS[name])
    if options.get("predictor") and dtype.startswith("float"):
        options["predictor"] = 3
    stack = grey_stack(dtype, (2, 11, 13))
    write_slices(tmp_path / "s", stack, lambda path, plane: write_tiff(path, plane, **options))
    volume = opened(tmp_path / "s")
    assert volume.dtype == dtype
    np.testing.assert_array_equal(np.asarray(volume), stack)
    region = (slice(1, 2), slice(3, 9), slice(4, 13))
    np.testing.assert_array_equal(volume.read(region), stack[region])


@pytest.mark.parametrize("name", TIFFS)
def test_all_pages_of_one_file_are_planes(tmp_path: Path, name: str) -> None:
    stack = grey_stack()
    write_tiff(tmp_path / "s.tif", stack, **TIFFS[name])
    volume = opened(tmp_path / "s.tif")
    np.testing.assert_array_equal(np.asarray(volume), stack)
    np.testing.assert_array_equal(np.asarray(volume[2:4, 1:6, 2:9]), stack[2:4, 1:6, 2:9])


def test_files_of_several_pages_follow_each_other(tmp_path: Path) -> None:
    stack = grey_stack(shape=(7, 5, 6))
    for n, part in enumerate((stack[:3], stack[3:4], stack[4:])):
        write_tiff(tmp_path / f"part{n}.tif", part)
    np.testing.assert_array_equal(np.asarray(opened(tmp_path)), stack)
    assert opened(tmp_path, slices=slice(2, 6, 3)).geometry.spacing == pytest.approx((2.1, 0.5, 0.3))


def test_uncompressed_rows_are_read_alone_and_others_are_decoded_whole(tmp_path: Path) -> None:
    stack = grey_stack()
    raw = opened(write_slices(tmp_path / "raw", stack)).source
    packed = opened(write_slices(tmp_path / "lzw", stack, lambda p, a: write_tiff(p, a, compression="lzw"))).source
    assert (raw.grain, packed.grain) == ((1, 1, 13), (1, 11, 13))
    assert raw.stored_bytes == stack.nbytes
    assert packed.scratch((1, 11, 13)) > raw.scratch((1, 11, 13)) > 0


@pytest.mark.parametrize("options", [{}, {"compression": "lzw"}, {"tile": (16, 16)}, {"planarconfig": "separate"}])
def test_colour_of_equal_channels_is_grey(tmp_path: Path, options: dict[str, Any]) -> None:
    stack = grey_stack(shape=(2, 9, 7))
    separate = options.get("planarconfig") == "separate"
    for k, plane in enumerate(stack):
        colour = np.stack([plane] * 3, 0 if separate else -1)
        write_tiff(tmp_path / f"{k}.tif", colour, photometric="rgb", **options)
    np.testing.assert_array_equal(np.asarray(opened(tmp_path)), stack)
    np.testing.assert_array_equal(opened(tmp_path).read((slice(0, 2), slice(2, 5), slice(1, 4))), stack[:, 2:5, 1:4])


def test_grey_with_opaque_alpha_is_grey(tmp_path: Path) -> None:
    stack = grey_stack("uint8", (2, 9, 7))
    for k, plane in enumerate(stack):
        both = np.stack([plane, np.full_like(plane, 255)], -1)
        write_tiff(tmp_path / f"{k}.tif", both, photometric="minisblack", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(np.asarray(opened(tmp_path)), stack)


def test_white_zeros_are_kept_as_stored_and_said(tmp_path: Path) -> None:
    stack = grey_stack("uint8")
    write_slices(tmp_path / "s", stack, lambda path, plane: write_tiff(path, plane, photometric="miniswhite"))
    volume = opened(tmp_path / "s")
    np.testing.assert_array_equal(np.asarray(volume), stack)
    assert volume.metadata.problems == ("zero is white in the files (MinIsWhite): the values are kept as stored",)


@pytest.mark.parametrize("turned", [False, True])
def test_palettes_of_greys_give_their_greys(tmp_path: Path, turned: bool) -> None:
    stack = grey_stack("uint8")
    ramp = np.arange(256, dtype=np.uint16)[:: -1 if turned else 1] * 257
    options = {"photometric": "palette", "colormap": np.stack([ramp] * 3)}
    write_slices(tmp_path / "s", stack, lambda path, plane: write_tiff(path, plane, **options))
    volume = opened(tmp_path / "s")
    np.testing.assert_array_equal(np.asarray(volume), 255 - stack if turned else stack)
    assert bool(volume.metadata.problems) is turned


def test_an_imagej_stack_whose_pages_are_left_out_is_read(tmp_path: Path) -> None:
    stack = grey_stack()
    tifffile.imwrite(
        tmp_path / "s.tif", stack, imagej=True, metadata={"axes": "ZYX"}
    )  # one directory, all planes behind it
    np.testing.assert_array_equal(np.asarray(opened(tmp_path / "s.tif")), stack)
    tifffile.imwrite(tmp_path / "t.tif", stack, truncate=True)
    np.testing.assert_array_equal(np.asarray(opened(tmp_path / "t.tif")), stack)


@pytest.mark.parametrize("options", [{}, {"compression": "lzw"}, {"bigtiff": True, "byteorder": ">"}])
def test_ome_tiff_is_read_and_its_pyramid_left(tmp_path: Path, options: dict[str, Any]) -> None:
    stack = grey_stack(shape=(3, 32, 48))
    with tifffile.TiffWriter(tmp_path / "s.ome.tif", ome=True, **_file(options)) as file:
        more = {key: value for key, value in options.items() if key == "compression"}
        file.write(stack, subifds=1, metadata={"axes": "ZYX"}, **more)
        file.write(stack[:, ::2, ::2], subfiletype=1, **more)
    np.testing.assert_array_equal(np.asarray(opened(tmp_path / "s.ome.tif")), stack)


def _file(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != "compression"}


def test_ome_planes_are_read_in_the_order_that_the_xml_says(tmp_path: Path) -> None:
    stack = grey_stack(shape=(3, 5, 6))
    places = "".join(f'<TiffData FirstZ="{z}" IFD="{2 - z}" PlaneCount="1"/>' for z in range(3))
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels SizeX="6" SizeY="5" SizeZ="3" SizeC="1" SizeT="1">{places}</Pixels></Image></OME>'
    )
    write_tiff(tmp_path / "s.tif", stack[::-1], description=xml)
    np.testing.assert_array_equal(np.asarray(opened(tmp_path / "s.tif")), stack)


def test_planes_stored_in_different_ways_make_one_stack(tmp_path: Path) -> None:
    stack = grey_stack(shape=(6, 20, 17))
    ways = [{}, {"compression": "lzw"}, {"byteorder": ">"}, {"tile": (16, 16)}, {"bigtiff": True}, {"rowsperstrip": 2}]
    for k, (plane, way) in enumerate(zip(stack, ways, strict=True)):
        write_tiff(tmp_path / f"s{k}.tif", plane, **way)
    volume = opened(tmp_path)
    np.testing.assert_array_equal(np.asarray(volume), stack)
    assert len(planes_of(volume).layouts) == 4
    assert volume.source.grain == (1, 20, 17)


def test_a_source_survives_pickling_and_gives_what_is_asked_into_what_is_given(tmp_path: Path) -> None:
    stack = grey_stack()
    source = pickle.loads(pickle.dumps(opened(write_slices(tmp_path / "s", stack)).source))
    wide = np.zeros((2, 3, 20), "u2")
    source.read((slice(1, 3), slice(4, 7), slice(0, 13)), wide[:, :, :13])
    np.testing.assert_array_equal(wide[:, :, :13], stack[1:3, 4:7])
    assert not wide[:, :, 13:].any()


def test_simpleitk_reads_the_same_stack(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    stack = grey_stack("uint8", (4, 12, 9))
    for kind, write in WRITERS.items():
        folder = write_slices(tmp_path / kind, stack, write, name="s_{:03d}." + kind)
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames([str(path) for path in sorted(folder.iterdir())])
        found = sitk.GetArrayFromImage(reader.Execute())
        # ITK makes RGB of every BMP.
        np.testing.assert_array_equal(np.asarray(opened(folder)), found[..., 0] if found.ndim == 4 else found)


# ------------------------------------------------------------------------------------------- PNG, BMP and JPEG

WRITERS = {
    "tif": write_tiff,
    "png": lambda path, plane: path.write_bytes(png_bytes(plane)),
    "bmp": lambda path, plane: path.write_bytes(bmp_bytes(plane)),
}


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_png_slices_are_read(tmp_path: Path, dtype: str) -> None:
    stack = grey_stack(dtype)
    volume = opened(write_slices(tmp_path / "s", stack, WRITERS["png"], name="{}.png"))
    assert volume.dtype == dtype
    np.testing.assert_array_equal(np.asarray(volume), stack)


def test_png_with_opaque_alpha_or_equal_channels_is_grey(tmp_path: Path) -> None:
    stack = grey_stack("uint8", (3, 6, 5))
    full = np.full_like(stack[0], 255)
    for k, channels in enumerate([(stack[0], full), (stack[1],) * 3, (stack[2], stack[2], stack[2], full)]):
        (tmp_path / f"{k}.png").write_bytes(png_bytes(np.stack(channels, -1)))
    np.testing.assert_array_equal(np.asarray(opened(tmp_path)), stack)


@pytest.mark.parametrize("upward", [True, False])
@pytest.mark.parametrize("samples", [1, 3, 4])
def test_bmp_slices_are_read_row_by_row(tmp_path: Path, upward: bool, samples: int) -> None:
    stack = grey_stack("uint8", (3, 7, 5))
    for k, plane in enumerate(stack):
        pixels = plane if samples == 1 else np.stack([plane] * samples, -1)
        if samples == 4:
            pixels[..., 3] = 0  # not used
        (tmp_path / f"{k}.bmp").write_bytes(bmp_bytes(pixels, upward=upward))
    volume = opened(tmp_path)
    np.testing.assert_array_equal(np.asarray(volume), stack)
    np.testing.assert_array_equal(np.asarray(volume[1:3, 2:6, 1:4]), stack[1:3, 2:6, 1:4])
    assert volume.source.grain == (1, 1, 5)


def test_bmp_with_a_turned_palette_gives_its_greys(tmp_path: Path) -> None:
    stack = grey_stack("uint8")
    palette = np.repeat(np.arange(255, -1, -1, dtype=np.uint8)[:, None], 3, 1)
    for k, plane in enumerate(stack):
        (tmp_path / f"{k}.bmp").write_bytes(bmp_bytes(plane, palette=palette))
    volume = opened(tmp_path)
    np.testing.assert_array_equal(np.asarray(volume), 255 - stack)
    assert volume.metadata.problems == ("the grey values are those of the files' palettes",)


def test_pillow_and_chunkvol_agree(tmp_path: Path) -> None:
    pillow: Any = pytest.importorskip("PIL.Image")
    stack = grey_stack("uint8", (1, 21, 18))
    for kind in ("png", "bmp", "jpg", "tif"):
        path = tmp_path / f"one.{kind}"
        pillow.fromarray(stack[0]).save(path)
        with pillow.open(path) as image:
            np.testing.assert_array_equal(np.asarray(opened(path))[0], np.asarray(image))


def test_jpeg_slices_are_read_and_said_to_be_lossy(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(3), np.add.outer(np.arange(16), np.arange(24))).astype(np.uint8) * 3
    for k, plane in enumerate(smooth):
        pixels = plane if k else np.stack([plane] * 3, -1)
        (tmp_path / f"{k}.jpg").write_bytes(imagecodecs.jpeg8_encode(pixels, level=98))
    volume = opened(tmp_path)
    assert np.abs(np.asarray(volume).astype(int) - smooth).max() < 4
    assert "lossy" in volume.metadata.problems[0]


# ------------------------------------------------------------------------------------------------- what it is


def test_images_are_known_by_their_first_bytes_and_folders_by_their_names(tmp_path: Path) -> None:
    plane = grey_stack("uint8")[0]
    write_tiff(tmp_path / "no_suffix", plane)
    (tmp_path / "letters.txt").write_bytes(b"BM means nothing by itself, however long the text goes on after it")
    assert is_image_file(tmp_path / "no_suffix")
    assert not is_image_file(tmp_path / "letters.txt")
    assert not is_stack(tmp_path)
    (tmp_path / ".hidden.png").write_bytes(b"")
    assert not is_stack(tmp_path)
    (tmp_path / "a.PNG").write_bytes(b"")
    assert is_stack(tmp_path)


def test_the_fingerprint_changes_with_the_voxels(tmp_path: Path) -> None:
    stack = grey_stack()
    folder = write_slices(tmp_path / "s", stack)
    before = opened(folder).source.fingerprint
    assert opened(folder).source.fingerprint == before
    write_tiff(folder / "s_0002.tif", stack[3])
    assert opened(folder).source.fingerprint != before
    assert chunkvol.open_volume(folder, spacing=(1, 1, 1)).source.fingerprint != before


# -------------------------------------------------------------------------------------------- what is refused


def refused(path: Path, kind: type[InputError], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        np.asarray(opened(path))
    assert "\n" not in str(caught.value)


def test_colour_is_refused_when_its_plane_is_read(tmp_path: Path) -> None:
    colour = np.stack([grey_stack("uint8")[0]] * 3, -1)
    colour[4, 5, 1] ^= 1
    for kind, data in {"png": png_bytes(colour), "bmp": bmp_bytes(colour)}.items():
        path = tmp_path / f"colour.{kind}"
        path.write_bytes(data)
        refused(path, FormatError, r"colour\.\w+ \(plane 0\) is a colour image: its channels differ in 1 pixels.*Fiji")
    write_tiff(tmp_path / "c.tif", colour, photometric="rgb", compression="lzw")
    refused(tmp_path / "c.tif", FormatError, r"c\.tif \(plane 0\) is a colour image")


def test_a_transparent_pixel_is_refused(tmp_path: Path) -> None:
    plane = grey_stack("uint8")[0]
    alpha = np.full_like(plane, 255)
    alpha[2, 3] = 9
    (tmp_path / "a.png").write_bytes(png_bytes(np.stack([plane, alpha], -1)))
    refused(tmp_path / "a.png", FormatError, "is not opaque: its alpha channel counts in 1 pixels")


def test_other_pixels_are_refused_with_the_way_out(tmp_path: Path) -> None:
    plane = grey_stack("uint8")[0]
    write_tiff(tmp_path / "bits.tif", plane.astype("u8"))
    refused(tmp_path / "bits.tif", FormatError, "pixels of 64 bits .*convert it first")
    write_tiff(tmp_path / "half.tif", plane.astype("f2"))
    refused(tmp_path / "half.tif", FormatError, "pixels of 16 bits .floating point.")
    write_tiff(tmp_path / "many.tif", np.stack([plane] * 5, -1), photometric="minisblack", planarconfig="contig")
    refused(tmp_path / "many.tif", FormatError, "is grey with 5 samples a pixel")
    rainbow = np.random.default_rng(0).integers(0, 65535, (3, 256), dtype=np.uint16)
    write_tiff(tmp_path / "palette.tif", plane, photometric="palette", colormap=rainbow)
    refused(tmp_path / "palette.tif", FormatError, "a palette of colours")
    (tmp_path / "p.bmp").write_bytes(bmp_bytes(plane, palette=(rainbow.T >> 8).astype(np.uint8)))
    refused(tmp_path / "p.bmp", FormatError, "a palette of colours")


def test_several_times_and_channels_are_refused(tmp_path: Path) -> None:
    pixels = grey_stack(shape=(6, 5, 7)).reshape(2, 3, 5, 7)
    tifffile.imwrite(tmp_path / "c.tif", pixels.transpose(1, 0, 2, 3), imagej=True, metadata={"axes": "ZCYX"})
    refused(tmp_path / "c.tif", FormatError, "hyperstack with 2 channels.*Make Subset")
    tifffile.imwrite(tmp_path / "t.tif", pixels, imagej=True, metadata={"axes": "TZYX"})
    refused(tmp_path / "t.tif", FormatError, "hyperstack with 2 frames")
    tifffile.imwrite(tmp_path / "c.ome.tif", pixels, ome=True, metadata={"axes": "CZYX"}, photometric="minisblack")
    refused(tmp_path / "c.ome.tif", FormatError, r"2 channels \(SizeC\)")
    tifffile.imwrite(tmp_path / "four.tif", pixels, photometric="minisblack")
    refused(tmp_path / "four.tif", FormatError, "2 x 3 x 5 x 7 pixels; volumes of 3 dimensions")


@pytest.mark.parametrize("options", [{}, {"compression": "lzw"}, {"tile": (16, 16)}, {"imagej": True}])
def test_a_tiff_that_is_cut_short_is_refused_before_it_is_read(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, grey_stack(shape=(2, 40, 50)), **options)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DamagedError, match=r"s\.tif is damaged: .*(cut short|beyond its end)") as caught:
        opened(path)
    assert "copy or export it again" in str(caught.value)


@pytest.mark.parametrize("kind", ["png", "bmp", "jpg"])
def test_a_picture_that_is_cut_short_is_refused_before_it_is_read(tmp_path: Path, kind: str) -> None:
    plane = grey_stack("uint8", (1, 40, 50))[0]
    data = {"png": png_bytes(plane), "bmp": bmp_bytes(plane), "jpg": imagecodecs.jpeg8_encode(plane)}[kind]
    path = tmp_path / f"s.{kind}"
    path.write_bytes(data[:-20])
    with pytest.raises(DamagedError, match="is damaged: it is cut short"):
        opened(path)


def test_broken_pixels_are_refused_when_they_are_read(tmp_path: Path) -> None:
    plane = grey_stack("uint8", (1, 60, 70))[0]
    write_tiff(tmp_path / "s.tif", plane, compression="zlib")
    (tmp_path / "s.png").write_bytes(png_bytes(plane))
    (tmp_path / "s.jpg").write_bytes(imagecodecs.jpeg8_encode(plane))
    for path in sorted(tmp_path.iterdir()):
        data = bytearray(path.read_bytes())
        if path.suffix == ".jpg":
            del data[len(data) // 2 : -2]
        else:
            data[len(data) // 2] ^= 255
        path.write_bytes(data)
        refused(path, DamagedError, rf"s{path.suffix} \(plane 0\) .*(decoded|cut short).*copy or export it again")


def test_a_file_that_became_shorter_is_refused(tmp_path: Path) -> None:
    path = write_slices(tmp_path / "s", grey_stack()) / "s_0003.tif"
    volume = opened(path.parent)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DamagedError, match=r"s_0003\.tif \(plane 3\) ends 10 bytes early"):
        np.asarray(volume)
    path.unlink()
    with pytest.raises(InputError, match=r"s_0003\.tif \(plane 3\) cannot be read"):
        np.asarray(volume)


def test_a_header_in_a_circle_or_without_sense_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    write_tiff(path, grey_stack()[0])
    data = bytearray(path.read_bytes())
    count = int.from_bytes(data[8:10], "little")
    data[10 + 12 * count : 14 + 12 * count] = (8).to_bytes(4, "little")
    path.write_bytes(data)
    refused(path, DamagedError, "list of pages runs in a circle")
    path.write_bytes(b"II*\0" + (1 << 30).to_bytes(4, "little") + bytes(20))
    refused(path, DamagedError, "points to byte .* beyond its end at 28")
    path.write_bytes(b"II*\0")
    refused(path, DamagedError, "it has 4 bytes")


def test_without_imagecodecs_compressed_slices_say_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = grey_stack("uint8")
    lzw = write_slices(tmp_path / "lzw", stack, lambda p, a: write_tiff(p, a, compression="lzw"))
    png = write_slices(tmp_path / "png", stack, WRITERS["png"], name="{}.png")
    bmp = write_slices(tmp_path / "bmp", stack, WRITERS["bmp"], name="{}.bmp")
    found = chunkvol.formats.stack.decoding.importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "imagecodecs" else found(name))
    for folder in (lzw, png):
        with pytest.raises(DecoderError, match=r'needs imagecodecs.*pip install "chunkvol\[codecs\]"'):
            opened(folder)
    np.testing.assert_array_equal(np.asarray(opened(bmp)), stack)


def test_a_stack_that_calls_its_slices_channels_says_where_to_change_that(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", grey_stack(), imagej=True)
    refused(tmp_path / "s.tif", FormatError, "holds 5 channels of one slice; .*Image > Properties")


@pytest.mark.parametrize("name", ["tiles", "LZW, predictor, big endian", "palette", "colour", "png", "bmp"])
def test_a_read_holds_no_more_than_its_scratch(tmp_path: Path, name: str) -> None:
    plane = grey_stack("uint8", (1, 500, 700))[0]
    ramp = np.stack([np.arange(256, dtype=np.uint16)[::-1] * 257] * 3)
    path = tmp_path / "s"
    if name in WRITERS:
        WRITERS[name](path, plane)
    elif name == "colour":
        write_tiff(path, np.stack([plane] * 3, -1), photometric="rgb", compression="lzw")
    else:
        write_tiff(path, plane, **({"photometric": "palette", "colormap": ramp} if name == "palette" else TIFFS[name]))
    source = opened(path).source
    block = np.empty((1, 300, 600), source.dtype)
    region = (slice(0, 1), slice(150, 450), slice(50, 650))
    source.read(region, block)
    tracemalloc.start()
    source.read(region, block)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= source.scratch(block.shape) + (1 << 17)
