r"""The formulas of components, as LaTeX, for `make_component_pages.py`.

`z` are the logits that a component is given, `p` their softmax, `H` its entropy in nats; what
comes out has a prime. `V` is the set of tokens that are not out.
"""

FORMULAS = {
    # Processors, in the order of the chain
    "ensemble": r"p'_i \propto \prod_m p_{m,i}^{w_m}\ (\text{product}), \qquad"
    r" p'_i = \sum_m w_m\, p_{m,i}\ (\text{mean})",
    "context_aware": r"z'_i = (1 + \alpha) \ln p_i(\text{with}) - \alpha \ln p_i(\text{without})",
    "guidance_scale": r"z'_i = \ln u_i + s\,(\ln p_i - \ln u_i)",
    "contrastive_decoding": r"z'_i = (1 + \beta) \ln p_i - \beta \ln a_i"
    r"\quad \text{where } p_i \ge \alpha \max_j p_j",
    "dola_layers": r"z'_i = \ln p_i - \ln q_i \quad \text{where } p_i \ge a \max_j p_j",
    "logit_bias": r"z'_i = z_i + b_i",
    "sequence_bias": r"z'_{t_n} = z_{t_n} + b \quad \text{behind } t_1 \dots t_{n-1}",
    "phrase_bias": r"z'_i = z_i + \frac{b}{n}\, \Delta_i",
    "expiring_bias": r"z'_i = z_i + \frac{b}{n}\, \Delta_i"
    r" \quad \text{for phrases begun in the first } d \text{ tokens}",
    "encoder_repetition_penalty": r"z'_i = \begin{cases} r\, z_i & z_i > 0 \\ z_i / r & z_i \le 0"
    r" \end{cases} \quad \text{where } i \in \text{prompt}",
    "repetition_penalty": r"z'_i = \begin{cases} z_i / r & z_i > 0 \\ r\, z_i & z_i \le 0"
    r" \end{cases} \quad \text{where } i \text{ was said}",
    "frequency_penalty": r"z'_i = z_i - f\, n_i",
    "presence_penalty": r"z'_i = z_i - f\, [n_i > 0]",
    "dry_multiplier": r"z'_i = z_i - m\, b^{\,n_i - a} \quad \text{where } n_i \ge a",
    "no_repeat_ngram_size": r"z'_i = -\infty \quad \text{where } (t_{-n+1}, \dots, t_{-1}, i)"
    r" \text{ was said}",
    "encoder_no_repeat_ngram_size": r"z'_i = -\infty \quad \text{where }"
    r" (t_{-n+1}, \dots, t_{-1}, i) \text{ is in the prompt}",
    "exponential_decay_length_penalty": r"z'_{\text{end}} = z_{\text{end}}"
    r" + |z_{\text{end}}|\,(f^{\,k} - 1)",
    "bad_words": r"z'_{t_n} = -\infty \quad \text{behind } t_1 \dots t_{n-1}",
    "min_new_tokens": r"z'_{\text{end}} = -\infty \quad \text{before } n \text{ new tokens}",
    "allowed_token_ids": r"z'_i = -\infty \quad \text{where } i \notin A",
    "prefix_allowed_tokens_fn": r"z'_i = -\infty \quad \text{where } i \notin f(t_1 \dots t_n)",
    "forced_bos_token_id": r"z'_i = -\infty \quad \text{where } i \ne b, \text{ first of all}",
    "forced_eos_token_id": r"z'_i = -\infty \quad \text{where } i \ne e, \text{ at the limit}",
    **dict.fromkeys(
        ("json_schema", "regex", "grammar", "choice"),
        r"z'_i = -\infty \quad \text{where no text of the language begins with }"
        r" t_1 \dots t_n\, i",
    ),
    "kgw_watermark": r"z'_i = z_i + b\,[\,i \in G(t_{-w}, \dots, t_{-1})\,]",
    "unigram_watermark": r"z'_i = z_i + b\,[\,i \in G\,]",
    "synthid_watermark": r"p^{(l)}_i = p^{(l-1)}_i\,"
    r"(1 + g_{l,i} - \textstyle\sum_j p^{(l-1)}_j g_{l,j})",
    "gumbel_watermark": r"\operatorname{argmax}_i\ u_i^{1 / p_i}",
    "suppress_tokens": r"z'_i = -\infty \quad \text{where } i \in S",
    "begin_suppress_tokens": r"z'_i = -\infty \quad \text{where } i \in S, \text{ first of all}",
    "thinking_budget": r"z'_i = -\infty \quad \text{where } i \text{ is not what has to be said}",
    "token_healing": r"z'_i = -\infty \quad \text{where } i \text{ does not begin or go on"
    r" with what was cut off}",
    "temperature": r"z'_i = \frac{z_i}{T}, \qquad p'_i \propto p_i^{1/T}",
    "smoothing_factor": r"z'_i = \max_j z_j - k\, d_i^2 - s\, d_i^3, \quad"
    r" d_i = \max_j z_j - z_i,\ k = \tfrac{f (3 - c)}{2},\ s = \tfrac{f (c - 1)}{2}",
    "top_n_sigma": r"\{ i : z_i \ge \max_j z_j - n\, \sigma \}",
    "min_k": r"k = \arg\max_i \frac{z_{(i)} - z_{(i+1)}}{i}",
    "top_h": r"\Big\{ (1), \dots, (n) : -\sum_{i=1}^{n} p_{(i)} \ln p_{(i)} \le h\, H \Big\}",
    "top_k": r"\{ i : z_i \ge z_{(k)} \}",
    "top_p": r"\min n \text{ with } \sum_{i=1}^{n} p_{(i)} \ge p",
    "min_p": r"\{ i : p_i \ge a \max_j p_j \}",
    "typical_p": r"\text{in the order of } |-\ln p_i - H|, \text{ until } \sum p_i \ge p",
    "epsilon_cutoff": r"\{ i : p_i \ge \epsilon \}",
    "eta_cutoff": r"\{ i : p_i \ge \min(\epsilon, \sqrt{\epsilon}\, e^{-H}) \}",
    "tfs": r"\{ (1) \} \cup \Big\{ (i + 1) : \sum_{j=1}^{i} d_j \le z \sum_j d_j \Big\}, \quad"
    r" d_i = |p_{(i)} - 2 p_{(i+1)} + p_{(i+2)}|",
    "top_a": r"\{ i : p_i \ge a\, (\max_j p_j)^2 \}",
    "p_less": r"\Big\{ i : p_i \ge \sum_j p_j^2 \Big\}",
    "xtc_probability": r"\text{with probability } q \text{ out: } \{ i : p_i \ge t \}"
    r" \setminus \arg\min_{p_j \ge t} p_j",
    "renormalize_logits": r"z'_i = z_i - \ln \sum_j e^{z_j}",
    # Samplers
    "multinomial": r"i = \arg\min_j \frac{E_j}{p_j}, \quad E_j \sim \text{Exp}(1)",
    "sampler greedy": r"i = \arg\max_j z_j",
    "mirostat": r"-\log_2 p_i \le \mu, \qquad \mu \leftarrow \mu - \eta\,(s - \tau)",
    "mirostat_v1": r"k = \left( \frac{\hat\epsilon\, 2^{\mu}}{1 - N^{-\hat\epsilon}}"
    r" \right)^{1/\hat s}, \quad \hat\epsilon = \hat s - 1, \qquad"
    r" \mu \leftarrow \mu - \eta\,(-\log_2 p - \tau)",
    "adaptive_p": r"z'_i = 5 - \frac{10\, x_i^2}{1 + x_i}, \quad x_i = \frac{|p_i - t'|}{0.3}",
    # Strategies
    "sample": r"t_n \sim p(\cdot \mid t_1 \dots t_{n-1})",
    "strategy greedy": r"t_n = \arg\max_i p_i",
    "beam": r"\text{score}(t_1 \dots t_n) = \frac{\sum_k \ln p(t_k)}{n^{\,\text{length\_penalty}}}",
    "beam_sample": r"\text{score}(t_1 \dots t_n) ="
    r" \frac{\sum_k \ln p(t_k)}{n^{\,\text{length\_penalty}}}",
    "diverse_beam": r"\ln p'(i) = \ln p(i) - \lambda \cdot"
    r" |\{ \text{beams of earlier groups that say } i \}|",
    "stochastic_beam": r"G(y) = \ln p(y) + \text{Gumbel}(0, 1)",
    "contrastive_search": r"\arg\max_v\ (1 - \alpha)\, p(v) - \alpha \max_j \cos(h_v, h_j)",
    "cot_decoding": r"\Delta = \frac{1}{|a|} \sum_{k \in a} \big( p_{(1)} - p_{(2)} \big)",
    "deepconf": r"C = -\frac{1}{k} \sum_{j=1}^{k} \ln p_{(j)}",
    "tree_search": r"\arg\max_a\ Q(s, a) + c\, P(s, a) \frac{\sqrt{\sum_b N(s, b)}}{1 + N(s, a)}",
    "smc": r"\pi(y) \propto p(y)\, \phi(y)",
    "awrs": r"\pi(y) \propto p(y)\, [\,y \text{ meets the constraint}\,]",
    "particle_gibbs": r"\pi(y) \propto p(y)\, \phi(y)",
    "metropolis_hastings": r"\min\!\left( 1, \frac{\pi(y')\, q(y \mid y')}"
    r"{\pi(y)\, q(y' \mid y)} \right)",
    "power_sampling": r"\pi(y) \propto p(y)^{\alpha}",
}
"""By component; with the role before it where two have one name."""

WORDS = {
    "top_p": "The `(i)` are ranks: `p_(1)` is the likeliest token's probability.",
    "tfs": "The `(i)` are ranks, and `d_i` bends at rank i + 1.",
    "min_k": "The `(i)` are ranks; the k likeliest stay.",
    **dict.fromkeys(
        ("phrase_bias", "expiring_bias"),
        "`Δ_i` is by how many of the phrase's `n` bytes token i brings it on, negative where it "
        "leaves the phrase; with `b` below 0 the token that completes it gets `b`, and no other.",
    ),
    "top_k": "`z_(k)` is the k-th largest logit.",
    "guidance_scale": "`u` is the distribution after the negative prompt.",
    "contrastive_decoding": "`a` is the amateur's distribution.",
    "dola_layers": "`q` is what the head makes of the earlier layer.",
    "frequency_penalty": "`n_i` is how often token i was said.",
    "presence_penalty": "`n_i` is how often token i was said.",
    "dry_multiplier": "`n_i` is the length of the repetition that token i would lengthen.",
    **dict.fromkeys(
        ("kgw_watermark", "unigram_watermark"), "`G` are the green tokens, `b` is the bias."
    ),
    "synthid_watermark": "`g_l` are the keyed bits of layer l behind this context.",
    "gumbel_watermark": "`u` is a keyed hash of the context and token i, from 0 to 1.",
    "top_n_sigma": "The tokens that stay; σ is the standard deviation of the logits.",
}
"""What a formula's letters are, where the text does not say it."""
