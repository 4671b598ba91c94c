"""Images and texts to vectors, on onnxruntime alone.

Batch sizes and orders are part of the recipe: the int8 text encoder scales its activations by batch, so other batches
change the last bits of every vector.
"""

import numpy as np
import onnxruntime
from PIL import Image
from tokenizers import Tokenizer


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def square(path, side, margin=0.06):
    """The drawing on white, cropped to its ink, aspect kept, centered, bicubic to side x side."""
    image = Image.open(path).convert("RGBA")
    ink = image.getbbox()
    image = image.crop(ink) if ink else image
    edge = int(max(image.size) * (1 + 2 * margin)) or 1
    canvas = Image.new("RGBA", (edge, edge), (255, 255, 255, 255))
    canvas.alpha_composite(image, ((edge - image.width) // 2, (edge - image.height) // 2))
    return canvas.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)


def encode_images(network, paths, batch=16):
    """EfficientNet-Lite0 features, float16 [n, 1280]."""
    run, features = session(network).run, []
    for start in range(0, len(paths), batch):
        pixels = np.stack([np.asarray(square(path, 224), np.float32) for path in paths[start : start + batch]])
        features.append(run(["features"], {"image": ((pixels - 127.0) / 128.0).transpose(0, 3, 1, 2)})[0])
    return np.concatenate(features).astype(np.float16)


class MiniLm:
    """all-MiniLM-L6-v2 in int8: mean of the tokens, unit norm, float16 [n, 384]."""

    def __init__(self, network, tokenizer):
        self.session = session(network)
        self.inputs = {value.name for value in self.session.get_inputs()}
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.enable_truncation(128)
        self.tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")

    def __call__(self, texts, batch=32):
        by_length = np.argsort([len(text) for text in texts], kind="stable")
        vectors = np.zeros((len(texts), 384), np.float32)
        for start in range(0, len(texts), batch):
            rows = by_length[start : start + batch]
            vectors[rows] = self.encode([texts[row] for row in rows])
        return vectors.astype(np.float16)

    def encode(self, texts):
        encodings = self.tokenizer.encode_batch(texts)
        tokens = np.array([encoding.ids for encoding in encodings], np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], np.int64)
        feed = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros_like(tokens)}
        hidden = self.session.run(None, {name: feed[name] for name in feed if name in self.inputs})[0]
        if hidden.ndim == 3:
            hidden = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        return hidden / np.linalg.norm(hidden, axis=1, keepdims=True)
