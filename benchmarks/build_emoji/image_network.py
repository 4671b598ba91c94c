"""EfficientNet-Lite0 as an ONNX file, from its published PyTorch weights, without PyTorch.

usage: python image_network.py WEIGHTS.pth OUT.onnx     input "image" [n, 3, 224, 224], output "features" [n, 1280]

The weights are a pickle; the unpickler that reads it knows the few names a state dict needs and refuses every other.
"""

import collections
import pickle
import struct
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# EfficientNet-B0's stages: repeats, kernel, stride, expansion. Lite0 has no squeeze-and-excitation, and ReLU6.
STAGES = [(1, 3, 1, 1), (2, 3, 2, 6), (2, 5, 2, 6), (3, 3, 2, 6), (3, 5, 1, 6), (4, 5, 2, 6), (1, 3, 1, 6)]
STORAGE = {"FloatStorage": np.float32, "LongStorage": np.int64}


class StateDictUnpickler(pickle.Unpickler):
    """Turns each tensor into (key, type, offset, shape, strides) and builds nothing else."""

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: (*storage, offset, shape, strides)
        if module == "torch" and name in STORAGE:
            return name
        raise pickle.UnpicklingError(f"refused: {module}.{name}")

    def persistent_load(self, identity):
        _, kind, key, *_ = identity
        return key, kind


def load_weights(path):
    """The arrays of a state dict in PyTorch's first file format: five pickles, then the storages one after another."""
    with open(path, "rb") as file:
        for _ in ("magic number", "protocol", "system"):
            StateDictUnpickler(file).load()
        tensors = StateDictUnpickler(file).load()
        keys = StateDictUnpickler(file).load()
        kinds = {key: kind for key, kind, *_ in tensors.values()}
        storages = {}
        for key in keys:
            (count,) = struct.unpack("<q", file.read(8))
            dtype = np.dtype(STORAGE[kinds[key]])
            storages[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    arrays = {}
    for name, (key, _, offset, shape, strides) in tensors.items():
        flat = storages[key][offset:]  # the kernels are transposed views of TensorFlow's, so the strides count
        steps = [step * flat.itemsize for step in strides]
        arrays[name] = np.lib.stride_tricks.as_strided(flat, tuple(shape), steps).copy()
    return arrays


class Network:
    """ONNX nodes, one after another; batch normalization is folded into the convolution before it."""

    def __init__(self, weights):
        self.weights, self.nodes, self.constants = weights, [], []
        self.constant(0.0, "zero")
        self.constant(6.0, "six")

    def constant(self, value, name):
        self.constants.append(numpy_helper.from_array(np.array(value, np.float32, order="C"), name))
        return name

    def node(self, kind, inputs, **attributes):
        output = f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def convolution(self, x, name, norm, stride=1, groups=1, activate=True):
        kernel = self.weights[f"{name}.weight"]
        gain, bias, mean, variance = (
            self.weights[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain / np.sqrt(variance + 1e-3)
        folded = self.constant(kernel * scale[:, None, None, None], f"{name}.folded")
        shift = self.constant(bias - mean * scale, f"{name}.shift")
        strides = [stride, stride]
        x = self.node("Conv", [x, folded, shift], auto_pad="SAME_UPPER", strides=strides, group=groups)
        return self.node("Clip", [x, "zero", "six"]) if activate else x

    def block(self, x, name, stride, expansion):
        entry = x
        if expansion != 1:
            x = self.convolution(x, f"{name}._expand_conv", f"{name}._bn0")
        channels = self.weights[f"{name}._depthwise_conv.weight"].shape[0]
        x = self.convolution(x, f"{name}._depthwise_conv", f"{name}._bn1", stride, groups=channels)
        x = self.convolution(x, f"{name}._project_conv", f"{name}._bn2", activate=False)
        width_in, width_out = channels // expansion, self.weights[f"{name}._project_conv.weight"].shape[0]
        return self.node("Add", [x, entry]) if stride == 1 and width_in == width_out else x


def build(weights):
    """The network up to its pooled features."""
    network = Network(weights)
    x = network.convolution("image", "_conv_stem", "_bn0", stride=2)
    number = 0
    for repeats, _, first_stride, expansion in STAGES:
        for repeat in range(repeats):
            x = network.block(x, f"_blocks.{number}", first_stride if repeat == 0 else 1, expansion)
            number += 1
    x = network.convolution(x, "_conv_head", "_bn1")
    x = network.node("GlobalAveragePool", [x])
    network.nodes.append(helper.make_node("Flatten", [x], ["features"]))
    graph = helper.make_graph(
        network.nodes,
        "efficientnet_lite0",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 224, 224])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 1280])],
        network.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    onnx.save(build(load_weights(sys.argv[1])), sys.argv[2])
