"""The classes of a clip by an exported model: `python onnx_predict.py model.onnx clip.mp4`."""

import json
import sys

import av
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
model = json.loads(session.get_modelmeta().custom_metadata_map["pvnas_bench"])
frames, size = model["preprocessing"]["frames"], model["preprocessing"]["size"]
with av.open(sys.argv[2]) as video:
    images = [image.reformat(size, size, "rgb24").to_ndarray() for image in video.decode(video=0)]
sampled = np.stack([images[(2 * k + 1) * len(images) // (2 * frames)] for k in range(frames)])
(logits,) = session.run(None, {"frames": sampled[None]})[0]
shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
for i in shares.argsort()[::-1]:
    print(f"{model['classes'][i]} {shares[i]:.1%}")
