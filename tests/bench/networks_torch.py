"""The networks of `networks.py` as PyTorch has them: the same layers under the same names as hm reads, with weights from a seed.

CLIP is Hugging Face's own. YOLOv8 and the encoder of MobileSAM (TinyViT-5M) are written here from their architecture, as plain PyTorch would
run them: every batch norm folded into its convolution, attention by PyTorch's fused kernel, no more.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


class Conv(nn.Module):
    """Convolution, batch norm, SiLU, in Ultralytics' names."""

    def __init__(self, inputs, outputs, kernel=1, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)
        self.folded = False

    def fold(self):
        weight, bias = fuse_conv_bn_weights(
            self.conv.weight, None, self.bn.running_mean, self.bn.running_var, self.bn.eps, self.bn.weight, self.bn.bias
        )
        conv = nn.Conv2d(self.conv.in_channels, self.conv.out_channels, self.conv.kernel_size, self.conv.stride, self.conv.padding)
        conv.weight, conv.bias = weight, bias
        self.conv, self.folded = conv, True

    def forward(self, x):
        return F.silu(self.conv(x) if self.folded else self.bn(self.conv(x)), inplace=True)


class Bottleneck(nn.Module):
    def __init__(self, channels, shortcut):
        super().__init__()
        self.cv1, self.cv2, self.shortcut = Conv(channels, channels, 3), Conv(channels, channels, 3), shortcut

    def forward(self, x):
        y = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class Split(nn.Module):
    """C2f."""

    def __init__(self, inputs, outputs, repeats, shortcut):
        super().__init__()
        self.hidden = outputs // 2
        self.cv1 = Conv(inputs, 2 * self.hidden)
        self.cv2 = Conv((2 + repeats) * self.hidden, outputs)
        self.m = nn.ModuleList(Bottleneck(self.hidden, shortcut) for _ in range(repeats))

    def forward(self, x):
        parts = list(self.cv1(x).chunk(2, 1))
        for step in self.m:
            parts.append(step(parts[-1]))
        return self.cv2(torch.cat(parts, 1))


class Pools(nn.Module):
    """SPPF."""

    def __init__(self, channels):
        super().__init__()
        self.cv1, self.cv2 = Conv(channels, channels // 2), Conv(2 * channels, channels)

    def forward(self, x):
        parts = [self.cv1(x)]
        for _ in range(3):
            parts.append(F.max_pool2d(parts[-1], 5, 1, 2))
        return self.cv2(torch.cat(parts, 1))


class Prototypes(nn.Module):
    def __init__(self, inputs, channels, count):
        super().__init__()
        self.cv1 = Conv(inputs, channels, 3)
        self.upsample = nn.ConvTranspose2d(channels, channels, 2, 2)
        self.cv2, self.cv3 = Conv(channels, channels, 3), Conv(channels, count)

    def forward(self, x):
        return self.cv3(self.cv2(self.upsample(self.cv1(x))))


class Head(nn.Module):
    """Boxes, classes, coefficients, prototypes: to the raw numbers of each level."""

    def __init__(self, channels, classes=80, bins=16, prototypes=32):
        super().__init__()
        branch = lambda inputs, hidden, outputs: nn.Sequential(Conv(inputs, hidden, 3), Conv(hidden, hidden, 3), nn.Conv2d(hidden, outputs, 1))
        sides, scores = max(16, channels[0] // 4, 4 * bins), max(channels[0], min(classes, 100))
        self.cv2 = nn.ModuleList(branch(inputs, sides, 4 * bins) for inputs in channels)
        self.cv3 = nn.ModuleList(branch(inputs, scores, classes) for inputs in channels)
        self.cv4 = nn.ModuleList(branch(inputs, max(channels[0] // 4, prototypes), prototypes) for inputs in channels)
        self.proto = Prototypes(channels[0], channels[0], prototypes)
        self.bins = bins

    def forward(self, maps):
        levels = [[branch[level](x) for branch in (self.cv2, self.cv3, self.cv4)] for level, x in enumerate(maps)]
        return levels, self.proto(maps[0])

    def predictions(self, levels):
        """(batch, 4 + classes + prototypes, anchors): centre and size in px, scores, coefficients."""
        every = []
        for (sides, scores, coefficients), stride in zip(levels, (8, 16, 32)):
            batch, _, height, width = sides.shape
            shares = sides.view(batch, 4, self.bins, height * width).softmax(2)
            left, top, right, bottom = (shares * torch.arange(self.bins).view(1, 1, -1, 1)).sum(2).unbind(1)
            down, across = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
            across, down = across.reshape(1, -1), down.reshape(1, -1)
            box = torch.stack([across + (right - left) / 2, down + (bottom - top) / 2, left + right, top + bottom], 1) * stride
            every.append(torch.cat([box, scores.flatten(2).sigmoid(), coefficients.flatten(2)], 1))
        return torch.cat(every, 2)


class YoloV8nSeg(nn.Module):
    """YOLOv8n-seg for 80 classes; `model.N` are Ultralytics' layers."""

    def __init__(self):
        super().__init__()
        c = [16, 32, 64, 128, 256]
        none = nn.Identity
        self.model = nn.ModuleList([
            Conv(3, c[0], 3, 2), Conv(c[0], c[1], 3, 2), Split(c[1], c[1], 1, True), Conv(c[1], c[2], 3, 2), Split(c[2], c[2], 2, True),
            Conv(c[2], c[3], 3, 2), Split(c[3], c[3], 2, True), Conv(c[3], c[4], 3, 2), Split(c[4], c[4], 1, True), Pools(c[4]),
            none(), none(), Split(c[4] + c[3], c[3], 1, False), none(), none(), Split(c[3] + c[2], c[2], 1, False),
            Conv(c[2], c[2], 3, 2), none(), Split(c[2] + c[3], c[3], 1, False), Conv(c[3], c[3], 3, 2), none(),
            Split(c[3] + c[4], c[4], 1, False), Head([c[2], c[3], c[4]]),
        ])

    def forward(self, x):
        m = self.model
        up = lambda x: F.interpolate(x, scale_factor=2.0, mode="nearest")
        at8 = m[4](m[3](m[2](m[1](m[0](x)))))
        at16 = m[6](m[5](at8))
        at32 = m[9](m[8](m[7](at16)))
        mixed = m[12](torch.cat([up(at32), at16], 1))
        out8 = m[15](torch.cat([up(mixed), at8], 1))
        out16 = m[18](torch.cat([m[16](out8), mixed], 1))
        return m[22]([out8, out16, m[21](torch.cat([m[19](out16), at32], 1))])


class Normed(nn.Module):
    """Convolution and batch norm, in TinyViT's names."""

    def __init__(self, inputs, outputs, kernel=1, stride=1, groups=1):
        super().__init__()
        self.c = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.folded = False

    def fold(self):
        weight, bias = fuse_conv_bn_weights(
            self.c.weight, None, self.bn.running_mean, self.bn.running_var, self.bn.eps, self.bn.weight, self.bn.bias
        )
        conv = nn.Conv2d(
            self.c.in_channels, self.c.out_channels, self.c.kernel_size, self.c.stride, self.c.padding, groups=self.c.groups
        )
        conv.weight, conv.bias = weight, bias
        self.c, self.folded = conv, True

    def forward(self, x):
        return self.c(x) if self.folded else self.bn(self.c(x))


class MbConv(nn.Module):
    def __init__(self, inputs, hidden, outputs, stride=1, residual=True):
        super().__init__()
        self.conv1, self.conv2 = Normed(inputs, hidden), Normed(hidden, hidden, 3, stride, hidden)
        self.conv3, self.residual = Normed(hidden, outputs), residual

    def forward(self, x):
        y = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return F.gelu(x + y) if self.residual else y


class Attention(nn.Module):
    def __init__(self, dim, heads, window):
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(dim)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        points = list(itertools.product(range(window), range(window)))
        index = [[abs(a[0] - b[0]) * window + abs(a[1] - b[1]) for b in points] for a in points]
        self.register_buffer("index", torch.tensor(index), persistent=False)
        self.bias = None

    def forward(self, x):
        batch, tokens, dim = x.shape
        q, k, v = self.qkv(self.norm(x)).view(batch, tokens, self.heads, 3, dim // self.heads).permute(3, 0, 2, 1, 4)
        if self.bias is None:
            self.bias = self.attention_biases[:, self.index]
        return self.proj(F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias).transpose(1, 2).reshape(batch, tokens, dim))


class Mlp(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm, self.fc1, self.fc2 = nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(self.norm(x))))


class Block(nn.Module):
    def __init__(self, dim, heads, window):
        super().__init__()
        self.window, self.attn = window, Attention(dim, heads, window)
        self.local_conv, self.mlp = Normed(dim, dim, 3, 1, dim), Mlp(dim)

    def forward(self, x):
        batch, height, width, dim = x.shape
        w = self.window
        padded = F.pad(x, (0, 0, 0, -width % w, 0, -height % w))
        rows, columns = padded.shape[1] // w, padded.shape[2] // w
        windows = padded.view(batch, rows, w, columns, w, dim).transpose(2, 3).reshape(-1, w * w, dim)
        mixed = self.attn(windows).view(batch, rows, columns, w, w, dim).transpose(2, 3).reshape(batch, rows * w, columns * w, dim)
        x = x + mixed[:, :height, :width]
        x = self.local_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.mlp(x)


class Stage(nn.Module):
    def __init__(self, blocks, downsample=None):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        if downsample is not None:
            self.downsample = downsample


class ChannelNorm(nn.LayerNorm):
    """Over the channels of (batch, channels, height, width)."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class TinyViT(nn.Module):
    """The encoder of MobileSAM at 1024 px."""

    def __init__(self):
        super().__init__()
        dims, depths, heads, windows = [64, 128, 160, 320], [2, 2, 6, 2], [2, 4, 5, 10], [7, 7, 14, 7]
        self.patch_embed = nn.Module()
        self.patch_embed.seq = nn.Sequential(Normed(3, 32, 3, 2), nn.GELU(), Normed(32, 64, 3, 2))
        merging = [MbConv(dims[i], dims[i + 1], dims[i + 1], 1 if dims[i + 1] == 320 else 2, False) for i in range(3)]
        stages = [Stage([MbConv(64, 256, 64) for _ in range(depths[0])], merging[0])]
        for i in range(1, 4):
            stages.append(Stage([Block(dims[i], heads[i], windows[i]) for _ in range(depths[i])], merging[i] if i < 3 else None))
        self.layers = nn.ModuleList(stages)
        self.neck = nn.Sequential(
            nn.Conv2d(320, 256, 1, bias=False), ChannelNorm(256, eps=1e-6), nn.Conv2d(256, 256, 3, padding=1, bias=False), ChannelNorm(256, eps=1e-6)
        )

    def forward(self, x):
        x = self.patch_embed.seq(x)
        for block in self.layers[0].blocks:
            x = block(x)
        x = self.layers[0].downsample(x)
        for stage in self.layers[1:]:
            x = x.permute(0, 2, 3, 1)
            for block in stage.blocks:
                x = block(x)
            x = x.permute(0, 3, 1, 2)
            if hasattr(stage, "downsample"):
                x = stage.downsample(x)
        return self.neck(x)


def seeded(network, seed):
    """Weights with which numbers neither vanish nor grow, whatever the depth: only then is a comparison one, and no number is denormal."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not tensor.is_floating_point():
                continue
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.dim() >= 2:
                tensor.normal_(0, 1.4 / max(1, tensor[0].numel()) ** 0.5, generator=generator)
            elif name.endswith("weight"):
                tensor.uniform_(0.8, 1.2, generator=generator)
            else:
                tensor.normal_(0, 0.05, generator=generator)
    return network.eval()


def fold(network):
    """Folds every batch norm, as anyone who cares for speed does."""
    for module in network.modules():
        if hasattr(module, "fold"):
            module.fold()
    return network


def clip_base_patch32():
    """The half of OpenAI's ViT-B/32 that sees, and a text half of one layer that is only there because a CLIP has one."""
    from transformers import CLIPConfig, CLIPModel

    config = CLIPConfig(
        vision_config=dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, image_size=224, patch_size=32, projection_dim=512),
        text_config=dict(vocab_size=600, hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=1, projection_dim=512, eos_token_id=599, bos_token_id=598, pad_token_id=599),
        projection_dim=512,
    )
    return CLIPModel(config), config.to_dict()
