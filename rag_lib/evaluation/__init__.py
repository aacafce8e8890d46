"""How good rankings and answers are, and how sure that is.

Rankings or answers and what is right go in; figures with intervals come out. Judged collections and rows of questions
are read here too.
"""

from rag_lib import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "answers": "exact_match f1 match match_f1 normalize_answer rouge_l rouge_n score_answers token_f1",
        "ranking": "coverage ndcg_at_k novelty of_ranks ranking_metrics recall_at_k reciprocal_rank",
        "calibration": "calibration_curve calibration_error calibration_estimate fit_logistic",
        "statistics": "Estimate auroc auroc_estimate bootstrap paired_difference randomization_test risk_coverage",
        "squad": "DataUnavailable QED Row SCITLDR SQUAD answer_rows load_public local_file read_rows",
        "beir": "BadCollection collection_retriever evaluate read_collection",
    },
)
