"""What other programs call the arguments with which a model is loaded.

Of transformers' `from_pretrained` and `pipeline`, bitsandbytes' config, vLLM's `LLM`,
llama-cpp-python's `Llama`, and text-generation-webui.
"""

from typing import Final

from gpt2sdk.elsewhere import by_name, missing, row

LOAD_WORDS: Final = (
    # What holds the weights.
    row(
        "load_in_8bit load_8bit use_8bit int8",
        "quantization",
        'quantization="int8", or "bnb_int8" for bitsandbytes\' own',
    ),
    row(
        "load_in_4bit load_4bit use_4bit int4",
        "quantization",
        'quantization="int4", or "bnb_nf4" for bitsandbytes\' own',
    ),
    row(
        "quantization_config bnb_config quantize",
        "quantization",
        "quantization takes it: a BitsAndBytesConfig, a Quantizer or the name of one",
    ),
    row(
        "llm_int8_threshold llm_int8_skip_modules llm_int8_enable_fp32_cpu_offload "
        "llm_int8_has_fp16_weight bnb_4bit_compute_dtype bnb_4bit_quant_type "
        "bnb_4bit_use_double_quant bnb_4bit_quant_storage compute_dtype quant_type "
        "use_double_quant",
        "quantization",
        "quantization takes a BnbInt8, BnbNf4 or BnbFp4 of gpt2sdk.components, whose fields say it",
    ),
    row(
        "torch_dtype precision data_type bf16 fp16 half",
        "dtype",
        'dtype takes a torch dtype or its name, such as "bfloat16"',
    ),
    # Where they are.
    row(
        "device_map",
        "placement device",
        'placement takes a device map or a name such as "auto"; device="cuda:0" is one for all',
    ),
    row(
        "device_id gpu gpu_id cuda",
        "device",
        'device takes a name such as "cuda:1"',
    ),
    row(
        "offload_folder offload_dir disk disk_cache_dir",
        "placement",
        "placement takes a DiskOffload(offload_folder=…) of gpt2sdk.components",
    ),
    row(
        "offload_state_dict offload_buffers low_cpu_mem_usage disable_mmap _fast_init use_mmap "
        "use_mlock",
        "",
        "there is nothing to set: weights are mapped, and read one by one, never twice",
    ),
    row(
        "gpu_memory_utilization gpu_memory cpu_memory memory max_memory_allocated swap_space "
        "cpu_offload_gb",
        "max_memory",
        'max_memory says what each device may hold: {0: "2GB", "cpu": "8GB"}',
    ),
    row(
        "n_gpu_layers gpu_layers num_gpu_layers",
        "placement max_memory",
        'placement="auto" with max_memory puts as many blocks on the GPU as fit',
    ),
    missing(
        "tp_plan tp_size tensor_parallel_size pipeline_parallel_size device_mesh "
        "distributed_config tensor_split main_gpu",
        "tensor parallelism",
        "placement",
        'placement="balanced" spreads blocks over the GPUs',
    ),
    row(
        "enable_prefix_caching prefix_caching allow_block_sharing enable_block_reuse cache_prompt "
        "cache_ram prompt_cache",
        "prefix_cache",
        'prefix_cache takes a size: "256MB" for all calls, 0 for none; engines have it anyway',
    ),
    row(
        "disable_radix_cache",
        "prefix_cache",
        "prefix_cache=0 keeps nothing of what was read",
    ),
    # Which files.
    row(
        "pretrained_model_name_or_path model_name_or_path model_id repo_id model_name model_path "
        "path model_dir pretrained checkpoint",
        "name",
        "name is the first argument: a model source, a folder or file, or a hub id",
    ),
    row(
        "subfolder",
        "name",
        "name may be a local folder at any depth; of the hub's repositories the top is read",
    ),
    row(
        "gguf_file filename",
        "name",
        "name may be the file itself",
    ),
    row(
        "use_safetensors from_tf from_flax weights_only load_format from_pt",
        "",
        "the best files there are are read, safetensors first, and no code in them is run",
    ),
    missing("variant", "choice among a repository's variants", "name", "name may be a local file"),
    row(
        "use_auth_token hf_token api_key auth_token access_token",
        "token",
        "token opens private and gated models",
    ),
    row("branch commit tag code_revision _commit_hash", "revision", "revision takes all of these"),
    row(
        "download_dir cache cache_folder",
        "cache_dir",
        "cache_dir is where downloads are kept",
    ),
    row(
        "offline local_only",
        "local_files_only",
        "local_files_only=True never goes online",
    ),
    row(
        "force_download resume_download proxies mirror user_agent etag_timeout tqdm_class",
        "",
        "huggingface_hub downloads: what its environment variables and its cache say goes",
    ),
    # What the model is.
    row(
        "trust_remote_code allow_all_kernels",
        "",
        "it is not needed: no code of a repository is ever run",
    ),
    row(
        "attn_implementation use_flash_attention_2 _attn_implementation experts_implementation "
        "use_kernels kernel_config fusion_config enforce_eager flash_attn torchscript compile "
        "torch_compile use_bettertransformer",
        "",
        "there is nothing to choose: attention and kernels are the model's own",
    ),
    row(
        "config state_dict model_kwargs model_args hf_overrides key_mapping vocab_size n_layer",
        "",
        "a folder is loaded as it says; Generator(model, tokenizer) takes a model of your making",
    ),
    row(
        "ignore_mismatched_sizes output_loading_info strict",
        "",
        "what does not fit is always an error, and what was noticed stands in gen.notes",
    ),
    row(
        "n_ctx max_model_len max_seq_len context_length max_position_embeddings model_max_length",
        "",
        "the window is as long as the model's: gen.context_length says it",
    ),
    row(
        "adapter_name adapter_kwargs adapter_path lora lora_path lora_base peft_config enable_lora",
        "adapter",
        "adapter is the folder of one; gpt2sdk_train.Adapters puts several into a loaded model",
    ),
    row(
        "tokenizer tokenizer_name tokenizer_id use_fast padding_side add_prefix_space "
        "tokenizer_mode tokenizer_revision pad_token eos_token",
        "",
        "a model's own tokenizer is loaded with it; Generator(model, tokenizer) takes another one",
    ),
    row(
        "task pipeline_class framework num_workers n_threads num_threads verbose",
        "",
        "it means nothing here: a generator generates, on as many threads as torch has",
    ),
)
"""Arguments of loading."""

LOADS_ELSEWHERE: Final = by_name(LOAD_WORDS)
"""Each of them by name."""
