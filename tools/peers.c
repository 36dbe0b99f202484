// What tools/peers runs of llama.cpp: a program that loads a model and measures as llama-bench does,
// without any language between it and the library.
//
//   llama MODEL THREADS BATCH FLASH pp|tg COUNT DEPTH
//     loads, computes DEPTH tokens, warms up, prints "ready", and then for each line on its input
//     measures COUNT tokens and prints nanoseconds.
//   llama MODEL THREADS BATCH FLASH first COUNT
//     computes a prompt of COUNT tokens, prints the likeliest next one and exits: what is timed is the
//     whole process.
//
// FLASH is 0 or 1. Prompts go in batches of BATCH tokens, logits are wanted of the last token of a prompt
// and of each token that is generated.
#include <llama.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void quiet(enum ggml_log_level level, const char *text, void *context) {
  (void)context;
  if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static void fail(const char *what) {
  fprintf(stderr, "llama: %s\n", what);
  exit(1);
}

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000ll + time.tv_nsec;
}

static llama_token any_token(const struct llama_vocab *vocab) {
  return (llama_token)(rand() % llama_vocab_n_tokens(vocab));
}

// Computes so many tokens as a prompt.
static void prompt(struct llama_context *context, const struct llama_vocab *vocab, int count,
                   int batch) {
  llama_token *tokens = malloc((size_t)batch * sizeof *tokens);
  if (!tokens) fail("out of memory");
  for (int done = 0; done < count;) {
    int size = count - done < batch ? count - done : batch;
    for (int i = 0; i < size; i++) tokens[i] = any_token(vocab);
    if (llama_decode(context, llama_batch_get_one(tokens, size)) != 0) fail("llama_decode failed");
    done += size;
  }
  llama_synchronize(context);
  free(tokens);
}

// Computes so many tokens one by one.
static void generate(struct llama_context *context, const struct llama_vocab *vocab, int count) {
  for (int i = 0; i < count; i++) {
    llama_token token = any_token(vocab);
    if (llama_decode(context, llama_batch_get_one(&token, 1)) != 0) fail("llama_decode failed");
    llama_synchronize(context);
  }
}

int main(int count, char **words) {
  if (count < 7) fail("usage: llama MODEL THREADS BATCH FLASH pp|tg|first COUNT [DEPTH]");
  int threads = atoi(words[2]), batch = atoi(words[3]), tokens = atoi(words[6]);
  int depth = count > 7 ? atoi(words[7]) : 0;
  const char *kind = words[5];
  llama_log_set(quiet, NULL);
  llama_backend_init();
  struct llama_model *model = llama_model_load_from_file(words[1], llama_model_default_params());
  if (!model) fail("the model cannot be loaded");
  const struct llama_vocab *vocab = llama_model_get_vocab(model);
  struct llama_context_params parameters = llama_context_default_params();
  parameters.n_ctx = (uint32_t)(depth + tokens);
  parameters.n_batch = (uint32_t)batch;
  parameters.n_ubatch = (uint32_t)batch;
  parameters.n_threads = threads;
  parameters.n_threads_batch = threads;
  parameters.flash_attn_type =
      atoi(words[4]) ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
  struct llama_context *context = llama_init_from_model(model, parameters);
  if (!context) fail("there is no context");
  if (strcmp(kind, "first") == 0) {
    prompt(context, vocab, tokens, batch);
    const float *logits = llama_get_logits_ith(context, -1);
    int best = 0;
    for (int i = 1; i < llama_vocab_n_tokens(vocab); i++)
      if (logits[i] > logits[best]) best = i;
    printf("%d\n", best);
    fflush(stdout);
    // Nobody waits for the memory to be given back one by one.
    _Exit(0);
  }
  llama_memory_t memory = llama_get_memory(context);
  if (depth > 0) prompt(context, vocab, depth, batch);
  char line[16];
  for (int round = 0;; round++) {
    llama_memory_seq_rm(memory, -1, depth, -1);
    long long start = now();
    if (strcmp(kind, "pp") == 0)
      prompt(context, vocab, tokens, batch);
    else
      generate(context, vocab, round == 0 && tokens > 8 ? 8 : tokens);
    long long end = now();
    if (round == 0)
      printf("ready\n");
    else
      printf("%lld\n", end - start);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) break;
  }
  llama_free(context);
  llama_model_free(model);
  llama_backend_free();
  return 0;
}
