import numpy as np
import pytest

SR = 22_050
MAJOR = ((60, 64, 67), (65, 69, 72), (67, 71, 74), (60, 64, 67))
MINOR = ((57, 60, 64), (62, 65, 69), (64, 67, 71), (57, 60, 64))
SCALE = (60, 62, 64, 65, 67, 69, 71, 72)


def noise(seconds: float = 2.0) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).normal(size=round(seconds * SR))


class TestHarmony:
    def test_major_is_more_major_than_minor(self, describe, chords):
        major, minor = describe(chords(*MAJOR)), describe(chords(*MINOR))
        for name in (
            "harmony.majorness.overall",
            "harmony.parallel_majorness.overall",
            "harmony.third_majorness.overall",
            "harmony.chord_major_over_minor.mean",
        ):
            assert major[name] > minor[name] + 0.1, name
        assert major["harmony.major_chord.share"] > 0.9
        assert minor["harmony.major_chord.share"] < 0.1

    def test_one_key_is_clearer_than_none(self, describe, chords):
        whole_tones = chords(*((60 + i, 62 + i, 64 + i, 66 + i) for i in range(4)))
        diatonic = describe(chords(*MAJOR))["harmony.key_clarity.overall"]
        assert diatonic > describe(whole_tones)["harmony.key_clarity.overall"] + 0.2

    def test_transposition_changes_little(self, describe, chords):
        low, high = (
            describe(chords(*(tuple(note + step for note in chord) for chord in MAJOR)))
            for step in (0, 3)
        )
        names = [
            name
            for name in low
            if name.startswith(
                ("harmony.degree_", "harmony.fourier_", "harmony.pitch_class", "harmony.chord_")
            )
            and name.endswith((".overall", ".mean"))
        ]
        assert len(names) > 30
        for name in names:
            assert low[name] == pytest.approx(high[name], abs=0.08), name

    def test_narrow_intervals_are_dissonant(self, describe, chords):
        octave, fifth, second = (describe(chords((60, top), seconds=1.5)) for top in (72, 67, 61))
        for name in ("dissonance", "dissonance_share", "dissonance_of_energy", "roughness"):
            values = [sound[f"harmony.{name}.mean"] for sound in (octave, fifth, second)]
            assert values == sorted(values) and values[0] < values[2], name

    def test_beating_at_70_hz_is_in_its_band(self, describe):
        time = np.arange(3 * SR) / SR
        tone = 0.1 * np.sin(2 * np.pi * 1000 * time)
        rough = describe(tone * (1.0 + 0.8 * np.sin(2 * np.pi * 70 * time)))
        smooth = describe(tone)
        name = "harmony.envelope_modulation.band_2_rate_5"
        assert rough[name] > smooth[name] + 20.0

    def test_changing_chords_change(self, describe, chords):
        name = "harmony.chord_change.rate"
        assert describe(chords(*MAJOR))[name] > describe(chords(*[MAJOR[0]] * 4))[name]

    def test_harmonic_tones_are_harmonic(self, describe, tone):
        bell = sum(tone(60 + step, 2.0) for step in (0, 6.5, 13.3))
        name = "harmony.inharmonicity.mean"
        assert describe(tone(60, 2.0))[name] < 0.05 < describe(bell)[name]


class TestRhythm:
    @pytest.mark.parametrize("bpm", [80, 100, 120, 150])
    def test_tempo_of_clicks(self, describe, clicks, bpm):
        values = describe(clicks(bpm))
        assert values["rhythm.beat.tempo"] == pytest.approx(bpm, rel=0.05)
        assert values["rhythm.onset_rate.all"] == pytest.approx(bpm / 60, rel=0.1)

    def test_regular_clicks_are_a_clearer_pulse(self, describe, clicks):
        regular, irregular = describe(clicks(120)), describe(clicks(120, jitter=0.9))
        assert regular["rhythm.pulse_clarity.all"] > irregular["rhythm.pulse_clarity.all"] + 0.2
        assert regular["rhythm.onset_interval.std"] < irregular["rhythm.onset_interval.std"]

    def test_faster_fluctuation_has_more_gravity(self, describe, clicks):
        name = "rhythm.fluctuation.gravity"
        assert describe(clicks(240))[name] > describe(clicks(60))[name]


class TestDynamics:
    def test_twenty_decibels_are_twenty_decibels(self, describe):
        quiet, loud = describe(0.1 * noise()), describe(noise())
        for name in ("dynamics.level.mean", "dynamics.loudness.integrated", "dynamics.level.peak"):
            assert loud[name] - quiet[name] == pytest.approx(20.0, abs=0.05), name
        assert loud["dynamics.loudness.mean"] > 2 * quiet["dynamics.loudness.mean"]

    def test_full_scale_sine_has_the_loudness_of_the_standard(self, describe):
        sine = np.sin(2 * np.pi * 997 * np.arange(5 * SR) / SR)
        assert describe(sine)["dynamics.loudness.integrated"] == pytest.approx(-3.01, abs=0.1)

    def test_range_of_two_levels(self, describe):
        levels = np.concatenate([0.2 * noise(10.0), noise(10.0)])
        values = describe(levels)
        assert values["dynamics.loudness.range"] == pytest.approx(20 * np.log10(5), abs=1.0)
        assert values["dynamics.level.rise"] > 10.0
        assert values["dynamics.level.trend"] > 0.5

    def test_high_sounds_are_sharp(self, describe):
        low, high = (
            describe(np.sin(2 * np.pi * hz * np.arange(2 * SR) / SR)) for hz in (300, 6000)
        )
        assert high["dynamics.sharpness.mean"] > 2 * low["dynamics.sharpness.mean"]


class TestTimbre:
    def test_flatness_and_crest_tell_noise_from_tones(self, describe, tone):
        hiss, note = describe(noise()), describe(tone(69, 2.0))
        assert hiss["timbre.flatness.mean"] > note["timbre.flatness.mean"]
        assert hiss["timbre.entropy.mean"] > note["timbre.entropy.mean"]
        assert hiss["timbre.crest_03.mean"] < note["timbre.crest_03.mean"]
        assert hiss["timbre.contrast_2.mean"] < note["timbre.contrast_2.mean"]

    def test_a_tone_has_its_energy_where_it_sounds(self, describe):
        values = describe(0.5 * np.sin(2 * np.pi * 2000 * np.arange(2 * SR) / SR))
        assert 2.0 ** values["timbre.rolloff_50.mean"] == pytest.approx(2020, abs=15)
        assert values["timbre.brightness_1500.mean"] > 0.99
        assert values["timbre.brightness_4000.mean"] < 0.01

    def test_level_is_the_first_coefficient_alone(self, describe):
        quiet, loud = describe(0.1 * noise()), describe(noise())
        assert loud["timbre.mfcc_00.mean"] > quiet["timbre.mfcc_00.mean"] + 50.0
        for i in range(1, 20):
            name = f"timbre.mfcc_{i:02d}.mean"
            assert loud[name] == pytest.approx(quiet[name], abs=0.5), name

    def test_line_spectral_frequencies_rise_from_0_to_pi(self, describe, chords):
        values = describe(chords(*MAJOR))
        lines = [values[f"timbre.line_{i:02d}.mean"] for i in range(10)]
        assert lines[0] > 0.0 and lines[-1] < np.pi
        assert lines == sorted(lines)


class TestMelody:
    def test_pitch_and_intervals_of_a_scale(self, describe, tone):
        values = describe(np.concatenate([tone(note) for note in SCALE]))
        assert values["melody.pitch.mean"] == pytest.approx(np.mean(SCALE), abs=0.3)
        assert values["melody.note.rate"] == pytest.approx(2.0, abs=0.01)
        assert values["melody.leap.mean"] == pytest.approx(12 / 7, abs=0.05)
        assert values["melody.interval_rising.share"] == 1.0
        assert values["melody.interval_second.share"] == 1.0
        assert values["melody.note_pitch.trend"] == pytest.approx(12.0, abs=1.0)

    @pytest.mark.parametrize("step", [-12, 7, 12])
    def test_register_moves_with_transposition(self, describe, tone, step):
        here, there = (
            describe(np.concatenate([tone(note + move) for note in SCALE[:4]]))
            for move in (0, step)
        )
        name = "melody.note_pitch.mean"
        assert there[name] - here[name] == pytest.approx(step, abs=0.2)
        assert there["melody.leap.mean"] == pytest.approx(here["melody.leap.mean"], abs=0.1)

    def test_silence_has_no_melody(self, describe):
        values = describe(np.zeros(2 * SR))
        assert values["melody.voiced.share"] == values["melody.note.rate"] == 0.0


class TestTexture:
    @pytest.mark.parametrize(
        "chord", [(60,), (60, 67), (60, 64, 67), (48, 58, 64, 69)], ids=["1", "2", "3", "4"]
    )
    def test_layers_are_voices(self, describe, chords, chord):
        values = describe(chords(chord, seconds=2.0))
        assert values["texture.layers.mean"] == pytest.approx(len(chord), abs=0.3)
        assert values[f"texture.layers_{len(chord)}.share"] > 0.8

    def test_clicks_are_percussive_and_chords_are_not(self, describe, chords, clicks):
        name = "texture.percussiveness_middle.mean"
        assert describe(clicks(240, seconds=3.0))[name] > 2 * describe(chords(*MAJOR))[name]

    def test_partials_hold_the_energy_of_a_tone(self, describe, tone):
        assert describe(tone(69, 2.0))["texture.partial_share.mean"] > 0.8
        assert describe(noise())["texture.partial_share.mean"] < 0.6


class TestExpressivity:
    @pytest.mark.parametrize(("rate", "extent"), [(5.5, 0.5), (6.5, 0.3), (5.0, 1.0)])
    def test_vibrato(self, describe, tone, rate, extent):
        notes = [tone(note, 1.5, vibrato=(rate, extent)) for note in (62, 66, 69)]
        values = describe(np.concatenate(notes))
        assert values["expressivity.vibrato_rate.mean"] == pytest.approx(rate, abs=0.2)
        assert values["expressivity.vibrato_extent.mean"] == pytest.approx(extent, rel=0.25)
        assert values["expressivity.vibrato.coverage"] > 0.9

    def test_straight_notes_have_neither_vibrato_nor_tremolo(self, describe, tone):
        values = describe(np.concatenate([tone(note, 1.5) for note in (62, 66, 69)]))
        assert values["expressivity.vibrato.coverage"] == 0.0
        assert values["expressivity.tremolo.coverage"] == 0.0

    def test_tremolo(self, describe, tone):
        notes = [tone(note, 1.5, tremolo=(6.0, 0.4)) for note in (62, 66, 69)]
        values = describe(np.concatenate(notes))
        assert values["expressivity.tremolo_rate.mean"] == pytest.approx(6.0, abs=0.2)
        assert values["expressivity.tremolo.coverage"] > 0.9
        assert values["expressivity.vibrato.coverage"] == 0.0

    def test_legato_and_staccato(self, describe, tone):
        bound = describe(np.concatenate([tone(note, 0.4) for note in SCALE]))
        pause = np.zeros(round(0.28 * SR))
        short = [part for note in SCALE for part in (tone(note, 0.12), pause)]
        detached = describe(np.concatenate(short))
        assert bound["expressivity.legato.share"] > 0.9 > detached["expressivity.legato.share"]
        assert detached["expressivity.note_length.mean"] < bound["expressivity.note_length.mean"]
        assert detached["expressivity.pause.mean"] > bound["expressivity.pause.mean"]

    def test_soft_attacks_take_longer(self, describe, tone):
        rise = np.minimum(1.0, np.arange(round(0.5 * SR)) / (0.12 * SR))
        hard = describe(np.concatenate([tone(note) for note in SCALE]))
        soft = describe(np.concatenate([tone(note) * rise**2 for note in SCALE]))
        assert soft["expressivity.attack_time.mean"] > hard["expressivity.attack_time.mean"]

    def test_glides(self, describe, tone):
        time = np.arange(SR) / SR
        glide = np.sin(2 * np.pi * np.cumsum(300.0 * 2.0 ** (time / 3)) / SR)
        values = describe(np.concatenate([0.1 * glide] * 3))
        assert values["expressivity.glide_up.share"] > 0.5
        assert values["expressivity.glide_extent.mean"] == pytest.approx(4.0, abs=0.7)
