"""vLLM in this process: its `AsyncLLM`, with the engine core in child processes that never outlive us.

A vLLM reply is not a function of its request, since batching changes numerics: the engine gets one seed, requests
get none. Requests have no deadline either: on a small machine a full batch takes longer than any sensible one, and
vLLM itself notices when its engine process dies.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import itertools
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from corpus.engine.protocol import CallFailed, Reply, Request
from corpus.engine.watchdog import watched
from corpus.errors import EngineError, RecipeError, SetupError
from corpus.hardware import cpu_multiplies_bf16
from corpus.models import model_folder
from corpus.privacy import no_telemetry
from corpus.quiet import quiet_vllm
from corpus.recipe import EngineSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast
    from vllm import SamplingParams
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.lora.request import LoRARequest
    from vllm.v1.engine.async_llm import AsyncLLM

_OURS = {"model", "revision", "trust_remote_code"}
"""Engine arguments that are keys of the recipe: they are part of every brief's identity."""
_CPU_MAX_SEQUENCES = 128
"""Sequences decoded together on a CPU: 32 to 128 ran equally fast on two cores, more only take memory."""
_SHUTDOWN_SECONDS = 10.0
"""How long the engine's processes may take to end before vLLM kills them."""
_WAITING_PART = 8
"""One request waits for each so many that are decoded, ready to take the place of one that ends."""
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks of adapters that vLLM has kernels for (`vllm.config.lora`)."""
_GIB = 1 << 30


class VllmEngine:
    """An `Engine` over vLLM; `engine.options` are the fields of vLLM's `AsyncEngineArgs`."""

    def __init__(self, settings: EngineSettings, seed: int) -> None:
        self._settings = settings
        self._seed = seed
        self._max_in_flight = 0
        self._context_tokens = 0
        self._adapter: LoRARequest | None = None
        self._request_ids = itertools.count()
        self._open = contextlib.ExitStack()
        self._llm: AsyncLLM | None = None
        self._tokenizer: PreTrainedTokenizerFast | None = None

    @property
    def model(self) -> str:
        """The model's name in the recipe."""
        return self._settings.model

    @property
    def max_in_flight(self) -> int:
        """The recipe's bound, or what is decoded together and some that wait, so that no place stays empty."""
        return self._max_in_flight

    @property
    def context_tokens(self) -> int:
        """The longest prompt and reply together."""
        return self._context_tokens

    def count_tokens(self, request: Request) -> int:
        """Tokens of a request's prompt, exactly."""
        return len(self._prompt_tokens(request))

    async def complete(self, request: Request) -> Reply:
        """One reply; the request's `seed` is not used.

        Raises:
            CallFailed: the prompt and the reply do not fit the context, or vLLM refused this request.
            EngineError: the engine's process died.
        """
        from vllm.exceptions import VLLMError
        from vllm.v1.engine.exceptions import EngineDeadError

        assert self._llm is not None, "the engine is not open"
        prompt = self._prompt_tokens(request)
        excess = len(prompt) + request.max_tokens - self._context_tokens
        if excess > 0:
            raise CallFailed(
                "error",
                f"the prompt ({len(prompt)} tokens) and max_tokens ({request.max_tokens}) exceed the context of "
                f"{self.model} ({self._context_tokens} tokens) by {excess} tokens",
            )
        (rendered,) = self._llm.renderer.render_cmpl([{"prompt_token_ids": prompt}])
        replies = self._llm.generate(
            rendered, _sampling(request), request_id=str(next(self._request_ids)), lora_request=self._adapter
        )
        try:
            async for output in replies:
                completion = output.outputs[0]
                return Reply(
                    text=f"{request.opening}{completion.text}",
                    finish_reason=completion.finish_reason or "unknown",
                    prompt_tokens=len(prompt),
                    cached_tokens=output.num_cached_tokens,
                    completion_tokens=len(completion.token_ids),
                )
        except EngineDeadError:
            raise EngineError(
                "vLLM's engine process died; its messages above say why (often memory: lower "
                "engine.options.max_num_seqs or max_model_len); run again to resume"
            ) from None
        except VLLMError as error:
            raise CallFailed("error", f"vLLM: {error.__cause__ or error}") from error
        raise CallFailed("error", "vLLM ended the request without a reply")

    def _prompt_tokens(self, request: Request) -> list[int]:
        assert self._tokenizer is not None, "the engine is not open"
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        text = self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, **self._settings.template_options
        )
        return cast(
            "list[int]", self._tokenizer.encode(f"{text}{request.opening}", add_special_tokens=False, verbose=False)
        )

    async def __aenter__(self) -> Self:
        no_telemetry()
        quiet_vllm()
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning")
        os.environ["VLLM_LOGGING_STREAM"] = "ext://sys.stderr"
        # vLLM would leave a core to its HTTP server; there is none here, and this process hardly computes.
        os.environ.setdefault("VLLM_CPU_NUM_OF_RESERVED_CPU", "0")
        # One start method everywhere: only a child that was exec'ed shows the watchdog's mark.
        os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"
        try:
            from vllm.v1.engine.async_llm import AsyncLLM
        except ImportError as error:
            raise SetupError(
                f"engine.kind is vllm, and vLLM does not load here ({error}); install it with: make setup (CPU) or "
                "make setup EXTRA=gpu"
            ) from None
        with contextlib.ExitStack() as opening:
            opening.enter_context(watched())
            arguments = self._arguments()
            try:
                with _stdout_to_stderr():
                    llm = AsyncLLM.from_engine_args(arguments)
            except (ValueError, NotImplementedError) as error:
                raise RecipeError(f"vLLM refuses engine.model {self.model} or engine.options: {error}") from error
            except OSError as error:
                raise SetupError(f"the model {self.model} does not load: {error}") from error
            except RuntimeError as error:
                raise EngineError(f"vLLM does not start, its messages above say why: {error}") from error
            opening.callback(_shut_down, llm)
            tokenizer = cast("PreTrainedTokenizerFast", llm.get_tokenizer())
            if tokenizer.chat_template is None:
                raise SetupError(f"{self.model} has no chat template; generate with an instruct model")
            self._llm, self._tokenizer = llm, tokenizer
            self._context_tokens = llm.model_config.max_model_len
            num_together = llm.vllm_config.scheduler_config.max_num_seqs
            self._max_in_flight = self._settings.max_in_flight or num_together + -(-num_together // _WAITING_PART)
            self._adapter = _lora_request(self._settings.adapter)
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._llm = self._tokenizer = None
        self._open.close()

    def _arguments(self) -> AsyncEngineArgs:
        from vllm.config import StructuredOutputsConfig
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.platforms import current_platform

        settings = self._settings
        known = {field.name for field in dataclasses.fields(AsyncEngineArgs)} - _OURS
        for option in settings.options:
            if option in _OURS:
                raise RecipeError(f"engine.options.{option} belongs one level up: engine.{option}")
            if option not in known:
                near = difflib.get_close_matches(option, known, n=1, cutoff=0.0)[0]
                raise RecipeError(f"vLLM has no option '{option}' (engine.options); did you mean '{near}'?")
        arguments: dict[str, object] = {
            "model": str(model_folder(settings.model, settings.revision)),
            "revision": settings.revision,
            "trust_remote_code": settings.trust_remote_code,
            "seed": self._seed % (1 << 32),
            "enable_prefix_caching": True,
            "disable_log_stats": True,
            "use_tqdm_on_load": False,
            # Small models fill JSON with white space until they run out of tokens.
            "structured_outputs_config": StructuredOutputsConfig(backend="xgrammar", disable_any_whitespace=True),
        }
        if current_platform.is_cpu():
            arguments |= {
                "dtype": "bfloat16" if cpu_multiplies_bf16() else "float32",
                "enforce_eager": True,  # compiling took longer than it saved at this size
                "max_num_seqs": min(settings.max_in_flight or _CPU_MAX_SEQUENCES, _CPU_MAX_SEQUENCES),
                "kv_cache_memory_bytes": _cpu_cache_bytes(),
            }
        elif settings.max_in_flight:
            arguments["max_num_seqs"] = settings.max_in_flight
        if settings.adapter:
            _check_base(settings.model, Path(settings.adapter))
            arguments |= {"enable_lora": True, "max_lora_rank": _max_rank(Path(settings.adapter))}
        return AsyncEngineArgs(**(arguments | settings.options))


def _check_base(model: str, adapter: Path) -> None:
    """Refuse an adapter on a model other than the merged one that it comes with."""
    base = adapter / "base"
    if base.is_dir() and Path(model).resolve() != base.resolve():
        raise RecipeError(
            f"engine.adapter: {adapter} stands on the merged model beside it, and engine.model is {model}; give "
            f"engine.model {base}"
        )


def _max_rank(adapter: Path) -> int:
    """The least rank that vLLM knows and that holds the adapter: its default of 16 refuses a rank of 64."""
    try:
        rank = int(json.loads((adapter / "adapter_config.json").read_text())["r"])
    except (OSError, ValueError, KeyError) as error:
        raise RecipeError(
            f"engine.adapter: {adapter} holds no LoRA adapter that reads ({error}); give a folder as peft saves it, "
            "such as runs/NAME/checkpoints/CHAIN/seed-0"
        ) from None
    for known in _RANKS:
        if rank <= known:
            return known
    raise RecipeError(f"engine.adapter: {adapter} has rank {rank}; vLLM serves at most {_RANKS[-1]}")


def _lora_request(adapter: str | None) -> LoRARequest | None:
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, adapter) if adapter else None


def _shut_down(llm: AsyncLLM) -> None:
    llm.shutdown(timeout=_SHUTDOWN_SECONDS)
    # Its `__del__` shuts down once more, often at interpreter exit, when vLLM's modules are already torn down.
    llm.shutdown = lambda timeout=None: None


def _sampling(request: Request) -> SamplingParams:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    return SamplingParams(
        temperature=request.temperature,
        top_p=1.0 if request.top_p is None else request.top_p,
        min_p=0.0 if request.min_p is None else request.min_p,
        frequency_penalty=request.frequency_penalty,
        max_tokens=request.max_tokens,
        stop=list(request.stop),
        include_stop_str_in_output=request.keeps_stop,
        min_tokens=request.min_tokens,
        output_kind=RequestOutputKind.FINAL_ONLY,
        structured_outputs=StructuredOutputsParams(json=dict(request.schema)) if request.schema else None,
    )


def _cpu_cache_bytes() -> int | None:
    """An eighth of the memory, 1 to 4 GiB; None leaves it to VLLM_CPU_KVCACHE_SPACE.

    4 GiB hold 128 sequences of 1,400 tokens of the builtin model; vLLM's own default takes most of the machine.
    """
    if os.environ.get("VLLM_CPU_KVCACHE_SPACE"):
        return None
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(_GIB, min(4 * _GIB, memory_bytes // 8))


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Processes started inside write to stderr: their libraries print to stdout, which is for results."""
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)
