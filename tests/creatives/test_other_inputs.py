"""Of headlines, pictures and clips: order, gaps, labels and indexes."""

import numpy as np
import pytest
import torch

from pm_utils.creatives import adversarial
from pm_utils.creatives.image import archive as images_archive
from pm_utils.creatives.image import baselines as image_baselines
from pm_utils.creatives.image import evaluation as image_evaluation
from pm_utils.creatives.image import networks as image
from pm_utils.creatives.text import evaluation as text_evaluation
from pm_utils.creatives.text import networks as text
from pm_utils.creatives.text import ngram
from pm_utils.creatives.text import training as text_training
from pm_utils.creatives.video import archive, baselines, evaluation, player, sprites
from pm_utils.creatives.video import networks as video
from tests.support.metric_cases import MetricCase, properties
from tests.support.tensor_cases import TensorCase, tensor_properties

RNG = np.random.default_rng(0)
N = 8
ASKED = images_archive.requests(N, RNG)
CODES = archive.CLIP_CATALOGUE[RNG.integers(len(archive.CLIP_CATALOGUE), size=N)]
PIXELS = RNG.random((N, 48)).astype(np.float32)  # pictures of 4 × 4 × 3, flat
BIG = RNG.random((4, 3072)).astype(np.float32)  # of 32 × 32 × 3
FRAMES = RNG.random((4, 12 * 2 * 3 * 3)).astype(np.float32)  # clips of 12 × 2 × 3 × 3, flat
CLIPS = RNG.random((4, 12 * 3072)).astype(np.float32)
TOKENS = np.array([[1, 3, 4, 2, 0], [1, 4, 2, 0, 0], [1, 3, 3, 4, 2], [1, 4, 4, 2, 0]])
TRAITS = RNG.integers(0, 3, (4, 2)) * 10**12
GRAM = ngram.BackoffNGram(5, order=2, given=((0,),)).fit(TOKENS, TRAITS)
CLICK, CHANCE = (np.arange(30) % 3 == 0).astype(float), np.round(RNG.uniform(0.1, 0.9, 30), 1)
LEVELS = (3, 2)
SMALL = np.stack([np.arange(N) % 3, np.arange(N) % 2], 1)


def pictures(flat, side=4):
    return torch.as_tensor(np.asarray(flat)).float().reshape(len(flat), side, side, 3)


def small_clips(flat):
    return torch.as_tensor(np.asarray(flat)).float().reshape(len(flat), 12, 2, 3, 3)


def clips_of(flat):
    return torch.as_tensor(np.asarray(flat)).float().reshape(len(flat), 12, 3, 32, 32)


def net(kind, *sizes, **options):
    torch.manual_seed(0)
    return kind(*sizes, **options).eval()


def case(call, *labels, rows, **options):
    return MetricCase(call, rows, labels=frozenset(labels), apart=frozenset(rows), **options)


def of_small_clips(call):
    return case(lambda clips: call(small_clips(clips)), rows={"clips": FRAMES}, by_row=True)


def of_clips(call, **options):
    return case(lambda clips: call(clips_of(clips)), rows={"clips": CLIPS}, **options)


def of_codes(call, name="codes"):
    return case(call, rows={name: CODES}, by_row=True)


def linear():
    return baselines.LinearClips(components=2).fit(clips_of(CLIPS), CODES[:4] * [1, 1, 1, 0])


def still_sprites():
    return sprites.SpriteClips().fit(clips_of(CLIPS), STILL)


def flat(clips):
    return clips.flatten(1).numpy()


STROKES = net(image.Strokes, pictures(PIXELS), 3, seed=0)
WEIGHTS = STROKES.weigh(pictures(PIXELS)).numpy()
REQUEST = image.image_request(SMALL, LEVELS)
JUDGE = net(image.AttributeNet, features=4, levels=LEVELS, shape=(4, 4, 3))
CLASSIFIER = net(video.ClipClassifier, features=4)
STILL = CODES[:4] * [1, 1, 1, 0]

ROW_CASES = {
    "archive.image_creatives": case(
        lambda attributes: images_archive.image_creatives(attributes).codes(),
        rows={"attributes": ASKED},
        by_row=True,
    ),
    "archive.clip_codes": of_codes(archive.clip_codes),
    "archive.clip_creatives": of_codes(lambda codes: archive.clip_creatives(codes).codes()),
    "archive.as_codes": of_codes(lambda codes: archive.as_codes(archive.clip_creatives(codes))),
    "archive.clip_request": of_codes(archive.clip_request),
    "archive.shoot": case(
        lambda codes: archive.shoot(codes, np.random.default_rng(0)),
        rows={"codes": CODES},
        drawn=True,
    ),
    "archive.check_clips": of_clips(lambda clips: archive.check_clips(clips) or 0),
    "archive.check_requests": of_clips(
        lambda clips: archive.check_requests(clips, archive.clip_request(STILL)) or 0
    ),
    "archive.any_clips": of_clips(lambda clips: archive.any_clips(clips) or 0),
    "archive.as_pictures": of_small_clips(
        lambda clips: archive.as_pictures(clips).reshape(len(clips), -1)
    ),
    "archive.as_filmed": case(
        lambda clips: archive.as_filmed(small_clips(clips), np.random.default_rng(0)),
        rows={"clips": FRAMES},
        drawn=True,
    ),
    "baselines.closest_request": case(
        lambda asked: image_baselines.closest_request(ASKED, asked),
        rows={"asked": ASKED},
        by_row=True,
    ),
    "baselines.AdditiveGaussian": case(
        lambda images, attributes: image_baselines.AdditiveGaussian(
            pictures(images), attributes, LEVELS
        ).sample(SMALL[:2]),
        rows={"images": PIXELS, "attributes": SMALL},
        drawn=True,
    ),
    "baselines.AdditiveGaussian.sample": case(
        lambda asked: (
            image_baselines.AdditiveGaussian(pictures(PIXELS), SMALL, LEVELS)
            .sample(asked)
            .reshape(N, -1)
        ),
        rows={"asked": SMALL},
        drawn=True,
    ),
    "baselines.PCAGaussian": case(
        lambda weights, attributes: image_baselines.PCAGaussian(
            STROKES, torch.as_tensor(weights).float(), attributes, LEVELS
        ).sample(SMALL[:2], spread=0.0),
        rows={"weights": WEIGHTS, "attributes": SMALL},
        drawn=True,
    ),
    "baselines.PCAGaussian.sample": case(
        lambda asked: (
            image_baselines.PCAGaussian(STROKES, torch.from_numpy(WEIGHTS), SMALL, LEVELS)
            .sample(asked, spread=0.0)
            .reshape(N, -1)
        ),
        rows={"asked": SMALL},
        by_row=True,
    ),
    "baselines.PCAGaussian.means": case(
        lambda asked: image_baselines.PCAGaussian(
            STROKES, torch.from_numpy(WEIGHTS), SMALL, LEVELS
        ).means(asked),
        rows={"asked": SMALL},
        by_row=True,
    ),
    "baselines.MovedArchive": case(
        lambda weights, attributes: image_baselines.MovedArchive(
            image_baselines.PCAGaussian(STROKES, torch.from_numpy(WEIGHTS), SMALL, LEVELS),
            torch.as_tensor(weights).float(),
            attributes,
        ).sample(SMALL[:2]),
        rows={"weights": WEIGHTS, "attributes": SMALL},
        drawn=True,
    ),
    "baselines.MovedArchive.sample": case(
        lambda asked: (
            image_baselines.MovedArchive(
                image_baselines.PCAGaussian(STROKES, torch.from_numpy(WEIGHTS), SMALL, LEVELS),
                torch.from_numpy(WEIGHTS),
                SMALL,
            )
            .sample(asked)
            .reshape(N, -1)
        ),
        rows={"asked": SMALL},
        by_row=True,
    ),
    "baselines.LinearClips": of_clips(
        lambda clips: baselines.LinearClips(2).fit(clips, STILL).states(clips), drawn=True
    ),
    "baselines.LinearClips.fit": of_clips(
        lambda clips: baselines.LinearClips(2).fit(clips, STILL).states(clips), drawn=True
    ),
    "baselines.LinearClips.states": of_clips(
        lambda clips: linear().states(clips).reshape(4, -1), drawn=True
    ),
    **{
        f"baselines.LinearClips.{name}": case(
            lambda states, codes, call=call: np.reshape(call(linear(), states, codes), (4, -1)),
            rows={"states": RNG.normal(size=(4, 2)), "codes": STILL},
            by_row=True,
            drawn=True,
        )
        for name, call in (
            ("unroll", lambda model, *x: model.unroll(*x)),
            ("squeeze", lambda model, *x: model.squeeze(*x, 1)),
        )
    },
    "baselines.LinearClips.sample": case(
        lambda codes: linear().sample(codes * [1, 1, 1, 0], np.random.default_rng(0), boldness=0.0),
        rows={"codes": CODES},
        drawn=True,
    ),
    "sprites.SpriteClips": of_clips(
        lambda clips: sprites.SpriteClips().fit(clips, STILL).backgrounds, drawn=True
    ),
    "sprites.SpriteClips.fit": of_clips(
        lambda clips: sprites.SpriteClips().fit(clips, STILL).icons, drawn=True
    ),
    "sprites.SpriteClips.find": of_clips(
        lambda clips: sprites.SpriteClips().fit(clips_of(CLIPS), STILL).find(clips, STILL),
        drawn=True,
    ),
    "sprites.SpriteClips.draw": of_codes(
        lambda codes: flat(still_sprites().draw(codes * [1, 1, 1, 0], np.ones((len(codes), 5))))
    ),
    "sprites.SpriteClips.sample": case(
        lambda codes: flat(still_sprites().sample(codes, np.random.default_rng(0), boldness=1.0)),
        rows={"codes": CODES},
        drawn=True,
    ),
    "baselines.stills": case(
        lambda clips, codes: baselines.stills(
            clips_of(clips), codes, CODES[:1], np.random.default_rng(0)
        ),
        rows={"clips": CLIPS, "codes": STILL},
        drawn=True,
    ),
    "baselines.best_still": of_small_clips(
        lambda clips: baselines.best_still(clips).reshape(len(clips), -1)
    ),
    "baselines.noise_left": case(
        lambda clips: baselines.noise_left(small_clips(clips).double()), rows={"clips": FRAMES}
    ),
    "evaluation.classified": case(
        lambda images: image_evaluation.classified(JUDGE, pictures(images)),
        rows={"images": PIXELS},
        by_row=True,
    ),
    "evaluation.attributes_read": case(
        lambda images: image_evaluation.attributes_read(images.reshape(-1, 32, 32, 3)),
        rows={"images": BIG},
        by_row=True,
    ),
    "evaluation.as_asked": case(
        lambda images, asked: image_evaluation.as_asked(images.reshape(-1, 32, 32, 3), asked),
        rows={"images": BIG, "asked": ASKED[:4]},
        by_row=True,
    ),
    "evaluation.with_request": case(
        image_evaluation.with_request,
        rows={"features": PIXELS[:, :3], "asked": ASKED},
        by_row=True,
    ),
    "evaluation.mode_coverage": case(
        lambda real, fake: image_evaluation.mode_coverage(real, fake, neighbours=2),
        rows={"real": PIXELS, "fake": PIXELS[::-1] / 2},
    ),
    "evaluation.nearest_image": case(
        lambda images: image_evaluation.nearest_image(pictures(images), pictures(PIXELS[:3])),
        rows={"images": PIXELS},
        drawn=True,
    ),
    "evaluation.noise_spread": case(
        lambda images: image_evaluation.noise_spread(images.reshape(-1, 4, 4, 3), 2),
        rows={"images": PIXELS},
        drawn=True,  # its rows lie in groups
    ),
    "evaluation.classifier_accuracy": of_clips(
        lambda clips: evaluation.classifier_accuracy(CLASSIFIER, clips, STILL), drawn=True
    ),
    "evaluation.squared_errors": of_small_clips(
        lambda clips: evaluation.squared_errors(clips, clips.clamp(max=0.5))
    ),
    "evaluation.clip_features": of_clips(
        lambda clips: evaluation.clip_features(CLASSIFIER, clips), drawn=True
    ),
    "evaluation.held_out_nats": of_clips(
        lambda clips: evaluation.held_out_nats(
            net(video.AdVideoVAE, 2, 2, width=4), clips, archive.clip_request(STILL)
        ),
        drawn=True,
    ),
    "evaluation.read_attributes": of_clips(
        lambda clips: evaluation.read_attributes(clips)[1].velocity, by_row=True
    ),
    "evaluation.evaluate_clips": of_clips(
        lambda clips: evaluation.evaluate_clips(clips, STILL), drawn=True
    ),
    "evaluation.ads_in_clips": of_clips(evaluation.ads_in_clips, by_row=True),
    "evaluation.change_energy": of_small_clips(evaluation.change_energy),
    "evaluation.change_autocorrelation": case(
        lambda clips: evaluation.change_autocorrelation(small_clips(clips).double()),
        rows={"clips": FRAMES},
        by_row=True,
    ),
    "evaluation.freeze": case(
        lambda clips: evaluation.freeze(small_clips(clips), np.random.default_rng(0)),
        rows={"clips": FRAMES},
        drawn=True,
    ),
    "evaluation.loop": case(
        lambda clips: evaluation.loop(small_clips(clips), np.random.default_rng(0), 5),
        rows={"clips": FRAMES},
        drawn=True,
    ),
    "evaluation.film": case(
        lambda asked: evaluation.film(
            net(video.AdVideoVAE, 2, 2, width=4), asked, np.random.default_rng(0)
        ),
        rows={"asked": CODES},
        drawn=True,
    ),
    "evaluation.share_of_gain": MetricCase(
        lambda value, weight: text_evaluation.share_of_gain(
            value, np.zeros(30), np.ones(30), weight
        ),
        {"value": CHANCE, "weight": 10 * CHANCE},
    ),
    "evaluation.ads_in_headlines": case(
        text_evaluation.ads_in_headlines, rows={"tokens": TOKENS}, by_row=True
    ),
    "evaluation.evaluate_headlines": case(
        lambda tokens, asked: text_evaluation.evaluate_headlines(tokens, asked, TOKENS),
        rows={"tokens": TOKENS, "asked": np.arange(4)},
    ),
    "networks.attribute_codes": case(
        image.attribute_codes, rows={"attributes": ASKED}, by_row=True
    ),
    "networks.image_request": case(image.image_request, rows={"attributes": ASKED}, by_row=True),
    "networks.Strokes": case(
        lambda images: net(image.Strokes, pictures(images), 2, seed=0).mean.double(),
        rows={"images": PIXELS},
        drawn=True,
    ),
    "networks.Strokes.weigh": case(
        lambda images: STROKES.weigh(pictures(images)), rows={"images": PIXELS}, drawn=True
    ),
    "networks.Strokes.paint": case(
        lambda weights: STROKES.paint(torch.as_tensor(weights).float()),
        rows={"weights": WEIGHTS},
        drawn=True,
    ),
    **{
        f"networks.{kind.__name__}.sample": case(
            lambda asked, kind=kind: net(kind, STROKES, width=4, levels=LEVELS).sample(asked),
            rows={"asked": SMALL},
            drawn=True,
        )
        for kind in (image.AdImageGAN, image.AdImageFlow)
    },
    "networks.response_counts": MetricCase(
        lambda **rows: text.response_counts(**rows, shape=(5, 7)),
        {"customer": np.arange(30) % 5, "creative": np.arange(30) % 7, "click": CLICK},
        labels=frozenset({"click"}),
    ),
    "ngram.BackoffNGram.fit": case(
        lambda tokens, traits: (
            ngram.BackoffNGram(5, order=2, given=((0,),))
            .fit(tokens, traits)
            .log_prob(TOKENS, TRAITS)
        ),
        rows={"tokens": TOKENS, "traits": TRAITS},
    ),
    "ngram.BackoffNGram.log_prob": case(
        GRAM.log_prob, rows={"tokens": TOKENS, "attributes": TRAITS}, by_row=True
    ),
    "ngram.BackoffNGram.token_log_prob": case(
        GRAM.token_log_prob, rows={"tokens": TOKENS, "attributes": TRAITS}, by_row=True
    ),
    "ngram.BackoffNGram.distribution": case(
        GRAM.distribution, rows={"last": TOKENS[:, 1:2], "attributes": TRAITS}, by_row=True
    ),
    "ngram.BackoffNGram.sample": case(
        lambda traits: GRAM.sample(4, 5, np.random.default_rng(0), traits),
        rows={"traits": TRAITS},
        drawn=True,
    ),
    "ngram.check_tokens": case(
        lambda tokens: ngram.check_tokens(tokens, 5), rows={"tokens": TOKENS}, by_row=True
    ),
    "player.animation": case(
        lambda clip: len(player.animation(clip.reshape(-1, 8, 8, 3))),
        rows={"clip": RNG.random((3, 192))},
        drawn=True,
    ),
    "player.describe": case(
        lambda codes: len(player.describe(codes)), rows={"codes": CODES[0]}, drawn=True
    ),
    "training.token_nats": case(
        lambda codes: text_training.token_nats(
            net(text.AdCopyGPT, text.GPTConfig(5, 2, 6, 1, 2, 8)),
            torch.as_tensor(codes).float(),
            TOKENS,
        ),
        rows={"codes": RNG.normal(size=(4, 2))},
        drawn=True,
    ),
}

LOGIT, COUNTS = torch.randn(N), torch.rand(N, 3, 2)
CONTENT = torch.rand(4, video.CONTENT)
ASK = torch.rand(4, video.REQUEST)
STROKE, ASK_IMAGE = torch.rand(N, 3), torch.rand(N, image.REQUEST_DIM)
GPT = net(text.AdCopyGPT, text.GPTConfig(5, 2, 6, 1, 2, 8))
TOWER = net(text.AdGenerator, 3, 4)


def both(name, call, *tensors, **options):
    """A network and its `forward`."""
    one = TensorCase(call, tensors, **options)
    return {f"networks.{name}": one, f"networks.{name}.forward": one}


TENSOR_CASES = {
    "adversarial.critic_loss": TensorCase(adversarial.critic_loss, (LOGIT, LOGIT), by_row=False),
    "adversarial.generator_loss": TensorCase(adversarial.generator_loss, (LOGIT,), by_row=False),
    "networks.attribute_loss": TensorCase(
        lambda logits: image.attribute_loss(logits, torch.zeros(N, 2, dtype=int), LEVELS),
        (torch.rand(N, 5),),
        by_row=False,
    ),
    "networks.click_loss": TensorCase(text.click_loss, (torch.rand(N, 3), COUNTS), by_row=False),
    "networks.next_word_loss": TensorCase(
        text.next_word_loss, (torch.rand(4, 5, 5), torch.from_numpy(TOKENS)), by_row=False
    ),
    "networks.gaussian_nats": TensorCase(
        lambda error: video.gaussian_nats(error, torch.tensor(0.0)), (torch.rand(N),)
    ),
    "networks.kl_to_standard": TensorCase(
        video.kl_to_standard, (torch.rand(N, 2), torch.rand(N, 2))
    ),
    "networks.negative_elbo": TensorCase(
        lambda terms: video.negative_elbo(terms, terms), (torch.rand(N, 2),), by_row=False
    ),
    "networks.classifier_loss": TensorCase(
        lambda logits: video.classifier_loss(logits, torch.zeros(N, 3, dtype=int)),
        (torch.rand(N, 27),),
        by_row=False,
    ),
    "networks.flow_loss": TensorCase(
        lambda *x: image.flow_loss(
            lambda place, time, asked: place + time[:, None] + asked.sum(1, keepdim=True), *x
        ),
        (STROKE, STROKE, torch.rand(N), ASK_IMAGE),
        by_row=False,
    ),
    "networks.carry": TensorCase(
        video.carry, (torch.rand(4, 2, 32, 32), torch.rand(4, 3, 2), torch.ones(4))
    ),
    "networks.travel": TensorCase(video.travel, (torch.rand(N, 3, 2),)),
    **both("GatedLayers", net(image.GatedLayers, 3, 4, 1), STROKE, ASK_IMAGE),
    **both("AdImageGenerator", net(image.AdImageGenerator, 3, 3, 4), STROKE, ASK_IMAGE),
    **both("AdImageCritic", net(image.AdImageCritic, 3, 4), STROKE, ASK_IMAGE),
    **both(
        "AdImageFlow",
        net(image.AdImageFlow, STROKES, 4, LEVELS),
        STROKE,
        torch.rand(N),
        REQUEST,
    ),
    **both("AttributeNet", JUDGE, pictures(PIXELS)),
    "networks.AttributeNet.features": TensorCase(JUDGE.features, (pictures(PIXELS),)),
    **both("AdGenerator", TOWER, torch.rand(N, 3)),
    **both(
        "ResponseModel",
        net(text.ResponseModel, TOWER, torch.arange(6).view(3, 2)),
        torch.rand(N, 3),
    ),
    "networks.ResponseModel.nearest": TensorCase(
        net(text.ResponseModel, TOWER, torch.arange(6).view(3, 2)).nearest, (torch.rand(N, 3),)
    ),
    **both(
        "Block",
        lambda x: net(text.Block, text.GPTConfig(5, heads=2, width=8))(x)[0],
        torch.rand(4, 5, 8),
    ),
    **both("AdCopyGPT", GPT, torch.rand(4, 2), torch.from_numpy(TOKENS)),
    **both(
        "ClipPainter", net(video.ClipPainter, 2, 4), torch.rand(4, 2), CONTENT, torch.rand(4, 3, 2)
    ),
    **both(
        "ClipGenerator",
        net(video.ClipGenerator, 2, 2, 4),
        torch.rand(4, 2),
        torch.rand(4, 11, 2),
        ASK,
    ),
    **both("Patches", net(video.Patches, 3, 2), torch.rand(4, 3, 8, 8)),
    **both(
        "ClipCritic", net(video.ClipCritic, 2, 5), torch.rand(4, 2, 3, 32, 32), torch.rand(4, 5)
    ),
    **both("ClipClassifier", CLASSIFIER, clips_of(CLIPS)),
    "networks.ClipClassifier.features": TensorCase(CLASSIFIER.features, (clips_of(CLIPS),)),
    **{
        f"networks.AdVideoVAE.{name}": TensorCase(
            lambda *x, name=name: getattr(net(video.AdVideoVAE, 2, 2, width=4), name)(*x), tensors
        )
        for name, tensors in (
            ("encode", (clips_of(CLIPS), ASK)),
            ("reconstruct", (clips_of(CLIPS), ASK)),
            ("decode", (torch.rand(4, 4), ASK)),
        )
    },
    **{
        f"networks.AdVideoGAN.{name}": TensorCase(
            lambda *x, name=name: (
                getattr(net(video.AdVideoGAN, 4), name)(*x, 0)
                if name == "critic_logits"
                else [part for pair in video.AdVideoGAN.critic_inputs(*x, 0) for part in pair]
            ),
            (torch.rand(4, 6, 3, 32, 32), ASK),
        )
        for name in ("critic_inputs", "critic_logits")
    },
}
CASES = ROW_CASES | TENSOR_CASES
VIDEO, IMAGE, TEXT = (f"tests/creatives/{kind}/" for kind in ("video", "image", "text"))
NOTHING = "takes no rows"
BESIDES = {
    "adversarial.gradient_penalty": (
        "tests/creatives/test_adversarial.py::test_the_penalty_of_a_linear_critic_is_its_squared_slope"
    ),
    "baselines.best_spread": (
        IMAGE + "test_archive.py::test_the_best_spread_is_the_one_with_most_complete_ads"
    ),
    **{
        f"evaluation.Judge{name}": (
            IMAGE + "test_evaluation.py::test_the_judge_tells_right_ads_from_wrong_and_grey_ones"
        )
        for name in ("", ".look", ".score", ".features")
    },
    "evaluation.side_by_side": (
        TEXT + "test_evaluation.py::test_headlines_stand_below_what_was_asked_for"
    ),
    "networks.AdImageGAN.start_from_means": (
        IMAGE + "test_networks.py::test_the_generator_starts_from_the_mean_of_each_request"
    ),
    "networks.AdVideoVAE": VIDEO + "test_networks.py::test_forward_puts_both_terms_together",
    "networks.AdVideoVAE.forward": (
        VIDEO + "test_networks.py::test_forward_puts_both_terms_together"
    ),
    **{
        f"networks.{name}.sample": (
            VIDEO + "test_networks.py::test_samples_depend_on_the_generator_alone"
        )
        for name in ("AdVideoVAE", "ClipGenerator")
    },
    "networks.AdCopyGPT.generate": TEXT + "test_networks.py::test_pads_have_no_effect",
    "networks.pick": (TEXT + "test_networks.py::test_words_are_not_drawn_from_what_is_not_finite"),
    "ngram.cross_entropy": TEXT + "test_ngram.py::test_wrong_texts_and_attributes_are_named",
    "evaluation.Verdict": "the package makes it",
    "player.play_clips": "tests/creatives/test_other_inputs.py::test_clips_are_shown_at_any_size",
    "player.film_strips": "tests/creatives/test_other_inputs.py::test_clips_are_shown_at_any_size",
    **{
        f"training.{name}": VIDEO
        + "test_archive.py::test_clips_and_codes_that_cannot_be_are_refused"
        for name in ("train_vae", "train_clip_classifier", "train_clip_gan")
    },
    "training.frame_penalty": VIDEO + "test_training.py::test_the_penalty_is_the_squared_slope",
    **{
        f"training.{name}": IMAGE + "test_networks.py::test_unknown_levels_and_pictures_are_refused"
        for name in (
            "train_image_classifier",
            "new_gan",
            "new_flow",
            "train_image_gan",
            "train_flow",
        )
    },
    **{
        f"training.{name}": (
            TEXT + "test_training.py::test_response_counts_of_other_shapes_or_signs_are_refused"
        )
        for name in ("train_response_towers", "logistic_liking", "tuned_logistic")
    },
    "training.train_writer": (
        TEXT + "test_training.py::test_texts_that_the_vocabulary_does_not_know_are_refused"
    ),
    "ngram.tuned_ngram": TEXT + "test_ngram.py::test_wrong_texts_and_attributes_are_named",
    **dict.fromkeys(
        [
            *("archive.image_archive", "archive.requests", "archive.clip_archive"),
            *(f"evaluation.Verdict.{name}" for name in ("joint", "share", "complete")),
            *("networks.request_width", "networks.AdImageGAN", "networks.AdVideoGAN"),
            *("networks.AdImageGAN.update_average", "networks.AdVideoGAN.update_average"),
            *("networks.AdVideoGAN.start_from", "networks.AdVideoGAN.critic_parameters"),
            *("networks.ResponseModel.embeddings", "networks.GPTConfig"),
            *("ngram.BackoffNGram", "ngram.BackoffNGram.reach", "training.mean_error_sigma"),
        ],
        NOTHING,
    ),
}


@pytest.mark.parametrize(("check", "name"), properties(ROW_CASES))
def test_ads_have_each_property(check, name):
    check(ROW_CASES[name])


@pytest.mark.parametrize(("check", "name"), tensor_properties(TENSOR_CASES))
def test_a_network_of_ads_has_each_property(check, name):
    check(TENSOR_CASES[name])


def test_clips_are_shown_at_any_size():
    clip = np.linspace(0, 1, 5 * 6 * 8 * 3).reshape(5, 6, 8, 3)
    shown = player.play_clips({"a clip": clip}, "clips", scale=2).data
    assert 'width="16" height="12"' in shown
    assert len(player.film_strips(clip[None], ["a clip"]).axes[0].get_xticks()) == 2
    with pytest.raises(ValueError, match="clips 1, labels 2 rows"):
        player.film_strips(clip[None], ["one", "two"])
    with pytest.raises(ValueError, match=r"clip has shape \(5, 6, 8, 1\): give \(T, H, W, 3\)"):
        player.play_clips({"grey": clip[..., :1]}, "clips")
    with pytest.raises(ValueError, match="codes, column 3 is out of range"):
        player.describe([0, 0, 0, 9])


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda x: CLASSIFIER(x), r"clip has shape .*: give \(B, 12, 3, 32, 32\)"),
        (lambda x: net(video.AdVideoVAE, width=4).encode(x, ASK), r"give \(B, 12, 3, 32, 32\)"),
        (
            lambda x: video.carry(x[:, 0], torch.zeros(4, 2, 2), torch.ones(4)),
            "give .B, any, 32, 32",
        ),
        (lambda x: net(video.Patches, 3, 2)(x[:, 0, :, :30]), "give sides of 4, 8, 12"),
        (lambda x: net(video.Patches, 1, 2)(x[:, 0]), r"give \(B, 1, any, any\)"),
        (lambda x: evaluation.change_autocorrelation(x[:, :9]), "T at least 10"),
        (lambda x: evaluation.change_energy(x[:, :1]), "T at least 2"),
        (lambda x: evaluation.loop(x, np.random.default_rng(0), 11), "period is out of range"),
        (archive.check_clips, r"give \(N, 12, 3, 32, 32\)"),
    ],
)
def test_sizes_that_a_model_does_not_read_are_named(call, told):
    with pytest.raises(ValueError, match=told):
        call(torch.zeros(4, 10, 3, 32, 40))
