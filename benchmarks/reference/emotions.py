"""What is commonly used to classify texts in bulk: the pipeline of transformers over a sequence classifier."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def pipeline(folder: Path, labels: Sequence[str], max_tokens: int) -> Callable[[Sequence[str]], Any]:
    """The pipeline over the same encoder and as many labels, in batches of 32, as its documentation has it.

    Its classifier reads the first token where ours may read the mean of all; what that costs does not show beside the encoder.

    Args:
        folder: Bundle of an emotion network.
        labels: Of the model.
        max_tokens: Texts are cut there.
    """
    import transformers

    from resources.emotions.network import read_network

    network = read_network(folder, labels)
    config = network.encoder.config
    config.num_labels, config.problem_type = len(labels), "multi_label_classification"
    model = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    model.base_model.load_state_dict(network.encoder.state_dict(), strict=False)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), pad_token="[PAD]", model_max_length=max_tokens
    )
    classify = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")

    def classified(texts: Sequence[str]) -> Any:
        return classify(list(texts), batch_size=32, top_k=None, truncation=True, max_length=max_tokens)

    return classified
