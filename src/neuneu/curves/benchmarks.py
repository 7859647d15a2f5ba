"""What is public knowledge of benchmarks: items per split, chance levels, other names. Data only.

Items are those of the split that the harnesses score; every count here agrees with the standard errors or
the fractions of real results (tests/curves/test_tasks.py). Chance is the accuracy of guessing.
"""

CORE: dict[str, tuple[float, int, int | None]] = {
    "arc_challenge": (0.25, 1172, 299),
    "arc_easy": (0.25, 2376, 570),
    "boolq": (0.5, 3270, None),
    "csqa": (0.2, 1221, None),
    "hellaswag": (0.25, 10042, None),
    "openbookqa": (0.25, 500, 500),
    "piqa": (0.5, 1838, None),
    "socialiqa": (1 / 3, 1954, None),
    "winogrande": (0.5, 1267, None),
}
"""The nine standard OLMES tasks: chance, items, items of the validation split where that is scored too."""

MMLU_SUBJECTS = """
    abstract_algebra=100 anatomy=135 astronomy=152 business_ethics=100 clinical_knowledge=265
    college_biology=144 college_chemistry=100 college_computer_science=100 college_mathematics=100
    college_medicine=173 college_physics=102 computer_security=100 conceptual_physics=235
    econometrics=114 electrical_engineering=145 elementary_mathematics=378 formal_logic=126
    global_facts=100 high_school_biology=310 high_school_chemistry=203
    high_school_computer_science=100 high_school_european_history=165 high_school_geography=198
    high_school_government_and_politics=193 high_school_macroeconomics=390
    high_school_mathematics=270 high_school_microeconomics=238 high_school_physics=151
    high_school_psychology=545 high_school_statistics=216 high_school_us_history=204
    high_school_world_history=237 human_aging=223 human_sexuality=131 international_law=121
    jurisprudence=108 logical_fallacies=163 machine_learning=112 management=103 marketing=234
    medical_genetics=100 miscellaneous=783 moral_disputes=346 moral_scenarios=895 nutrition=306
    philosophy=311 prehistory=324 professional_accounting=282 professional_law=1534
    professional_medicine=272 professional_psychology=612 public_relations=110 security_studies=245
    sociology=201 us_foreign_policy=100 virology=166 world_religions=171
"""
"""The 57 MMLU subjects and the items of their test sets (14,042 together)."""

MMLU_GROUPS: dict[str, tuple[float, int, int | None]] = {
    "mmlu": (0.25, 14042, 1531),
    "mmlu_average": (0.25, 14042, 1531),
    "mmlu_stem": (0.25, 3018, 321),
    "mmlu_humanities": (0.25, 4705, 518),
    "mmlu_social_sciences": (0.25, 3077, 337),
    "mmlu_other": (0.25, 3242, 355),
}
"""MMLU as a whole and its four areas: chance, test items, validation items."""

BLIMP_PARADIGMS = """
    adjunct_island anaphor_gender_agreement anaphor_number_agreement animate_subject_passive
    animate_subject_trans causative complex_NP_island
    coordinate_structure_constraint_complex_left_branch
    coordinate_structure_constraint_object_extraction determiner_noun_agreement_1
    determiner_noun_agreement_2 determiner_noun_agreement_irregular_1
    determiner_noun_agreement_irregular_2 determiner_noun_agreement_with_adj_2
    determiner_noun_agreement_with_adj_irregular_1 determiner_noun_agreement_with_adj_irregular_2
    determiner_noun_agreement_with_adjective_1 distractor_agreement_relational_noun
    distractor_agreement_relative_clause drop_argument ellipsis_n_bar_1 ellipsis_n_bar_2
    existential_there_object_raising existential_there_quantifiers_1 existential_there_quantifiers_2
    existential_there_subject_raising expletive_it_object_raising inchoative intransitive
    irregular_past_participle_adjectives irregular_past_participle_verbs
    irregular_plural_subject_verb_agreement_1 irregular_plural_subject_verb_agreement_2
    left_branch_island_echo_question left_branch_island_simple_question
    matrix_question_npi_licensor_present npi_present_1 npi_present_2 only_npi_licensor_present
    only_npi_scope passive_1 passive_2 principle_A_c_command principle_A_case_1 principle_A_case_2
    principle_A_domain_1 principle_A_domain_2 principle_A_domain_3 principle_A_reconstruction
    regular_plural_subject_verb_agreement_1 regular_plural_subject_verb_agreement_2
    sentential_negation_npi_licensor_present sentential_negation_npi_scope sentential_subject_island
    superlative_quantifiers_1 superlative_quantifiers_2 tough_vs_raising_1 tough_vs_raising_2
    transitive wh_island wh_questions_object_gap wh_questions_subject_gap
    wh_questions_subject_gap_long_distance wh_vs_that_no_gap wh_vs_that_no_gap_long_distance
    wh_vs_that_with_gap wh_vs_that_with_gap_long_distance
"""
"""BLiMP's 67 paradigms: 1,000 minimal pairs each, chance 0.5 (Warstadt et al. 2020)."""

CROWS_PAIRS = """
    english=1677 english_age=91 english_autre=11 english_disability=65 english_gender=320
    english_nationality=216 english_physical_appearance=72 english_race_color=508 english_religion=111
    english_sexual_orientation=93 english_socioeconomic=190 french=1677 french_age=90 french_autre=13
    french_disability=66 french_gender=321 french_nationality=253 french_physical_appearance=72
    french_race_color=460 french_religion=115 french_sexual_orientation=91 french_socioeconomic=196
"""
"""CrowS-Pairs by language and kind of bias, with their pairs."""

OTHER: dict[str, tuple[float | None, int | None]] = {
    "anli_r1": (1 / 3, 1000),
    "anli_r2": (1 / 3, 1000),
    "anli_r3": (1 / 3, 1200),
    "basic_arithmetic": (0.25, 3000),
    "cb": (1 / 3, 56),
    "copa": (0.5, 100),
    "gsm8k": (0.0, 1319),
    "humaneval": (0.0, 164),
    "lambada_openai": (0.0, 5153),
    "lambada_standard": (0.0, 5153),
    "logiqa": (0.25, 651),
    "logiqa2": (0.25, None),
    "mathqa": (0.2, 2985),
    "medmcqa": (0.25, 4183),
    "medqa": (0.25, 1273),
    "mrpc": (0.5, None),
    "nq_open": (0.0, 3610),
    "qnli": (0.5, None),
    "race": (0.25, None),
    "rte": (0.5, 277),
    "sciq": (0.25, 1000),
    "sst2": (0.5, 872),
    "swag": (0.25, 20006),
    "triviaqa": (0.0, None),
    "truthfulqa_mc": (None, 817),
    "truthfulqa_mc1": (None, 817),
    "truthfulqa_mc2": (None, 817),
    "truthfulqa_gen": (None, 817),
    "wic": (0.5, 638),
    "wsc": (0.5, 104),
    "wsc273": (0.5, 273),
    "xnli": (1 / 3, None),
}
"""Other tasks: chance and items, None where they vary or are not known for certain."""

ALIASES: dict[str, str] = {
    "arc_c": "arc_challenge",
    "arc_e": "arc_easy",
    "commonsense_qa": "csqa",
    "commonsenseqa": "csqa",
    "social_iqa": "socialiqa",
    "social_i_qa": "socialiqa",
    "siqa": "socialiqa",
    "obqa": "openbookqa",
    "openbook_qa": "openbookqa",
    "winogrande_xl": "winogrande",
    "mmlu_avg": "mmlu_average",
    "mmlu_overall": "mmlu",
    "hendryckstest": "mmlu",
    "truthful_qa_mc1": "truthfulqa_mc1",
    "truthful_qa_mc2": "truthfulqa_mc2",
    "math_qa": "mathqa",
    "medqa_4options": "medqa",
    "naturalqs_open": "nq_open",
    "natural_questions": "nq_open",
    "sst": "sst2",
}
"""Other names of tasks, in lower case with underscores."""

MMLU_PREFIXES = ("mmlu_", "hendryckstest_", "hendrycks_test_", "mmlu:")
"""What different harnesses put before the name of an MMLU subject."""

FAMILIES = """
    mmlu mmlu_pro mmlu_redux mmlu_continuation mmlu_flan_cot_fewshot mmlu_flan_cot_zeroshot
    mmlu_flan_n_shot_generative mmlu_flan_n_shot_loglikelihood cmmlu ceval ceval_valid kmmlu arabicmmlu
    agieval blimp bbh bbh_cot_fewshot bbh_cot_zeroshot bbh_fewshot bbh_zeroshot leaderboard_bbh
    leaderboard_math leaderboard_math_hard leaderboard_gpqa leaderboard_musr minerva_math hendrycks_math
    crows_pairs_english crows_pairs_french
"""
"""Benchmarks that their authors split by subject, each part a task NAME_part; the whole may be a task too."""

AREAS: dict[str, tuple[str, ...]] = {
    "mmlu": ("mmlu_stem", "mmlu_humanities", "mmlu_social_sciences", "mmlu_other"),
}
"""Families whose areas are tasks: all of them together are the whole."""

COLLECTIONS: dict[str, tuple[str, ...]] = {
    "ai2_arc": ("arc_easy", "arc_challenge"),
    "arc": ("arc_easy", "arc_challenge"),
    "leaderboard": (
        "leaderboard_bbh", "leaderboard_gpqa", "leaderboard_ifeval", "leaderboard_math_hard",
        "leaderboard_mmlu_pro", "leaderboard_musr",
    ),
    "glue": ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "wnli"),
    "super_glue": ("boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc"),
    "openllm": ("arc_challenge", "hellaswag", "winogrande", "mmlu", "gsm8k", "truthfulqa_mc2"),
    "metabench": (
        "metabench_arc", "metabench_gsm8k", "metabench_hellaswag", "metabench_mmlu", "metabench_truthfulqa",
        "metabench_winogrande",
    ),
    "anli": ("anli_r1", "anli_r2", "anli_r3"),
}  # fmt: skip
"""Groups of benchmarks that stand for themselves."""
