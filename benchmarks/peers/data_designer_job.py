"""The job in NeMo Data Designer: one column of text over a table of prompts, resumed where there is something.

python data_designer_job.py FOLDER URL SLOTS DEADLINE_SECONDS MAX_RETRIES
"""

from __future__ import annotations

import sys
from pathlib import Path

import data_designer.config as dd
from data_designer.interface import DataDesigner


def main(folder: Path, url: str, slots: int, deadline_seconds: float, max_retries: int) -> None:
    """Run the job, or what is left of it."""
    prompts = folder / "prompts.jsonl"
    provider = dd.ModelProvider(name="slow", endpoint=url, api_key="none")
    model = dd.ModelConfig(
        alias="writer",
        model="slow",
        provider="slow",
        skip_health_check=True,
        inference_parameters=dd.ChatCompletionInferenceParams(
            max_parallel_requests=slots, timeout=int(deadline_seconds), max_tokens=800, temperature=0.8
        ),
    )
    builder = dd.DataDesignerConfigBuilder(model_configs=[model])
    builder.with_seed_dataset(dd.LocalFileSeedSource(path=str(prompts)))
    builder.add_column(
        dd.LLMTextColumnConfig(name="text", model_alias="writer", system_prompt="{{ system }}", prompt="{{ prompt }}")
    )
    designer = DataDesigner(artifact_path=folder / "out", model_providers=[provider])
    designer.set_run_config(
        dd.RunConfig(
            disable_early_shutdown=True,
            max_conversation_restarts=max_retries,
            max_in_flight_tasks=4 * slots,
            buffer_size=500,
            max_concurrent_row_groups=4,
            jinja_rendering_engine=dd.JinjaRenderingEngine.NATIVE,
            otel_metrics_port=None,
            # With its defaults each 429 takes a quarter of the requests in flight away, for some minutes.
            request_admission=dd.RequestAdmissionTuningConfig(
                multiplicative_decrease_factor=0.99,
                additive_increase_step=16,
                successes_until_increase=1,
                cooldown_seconds=0.1,
            ),
        )
    )
    num_records = sum(1 for _ in prompts.open(encoding="utf-8"))
    designer.create(builder, num_records=num_records, dataset_name="job", resume=dd.ResumeMode.IF_POSSIBLE)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
