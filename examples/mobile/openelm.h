/* OpenELM models for programs that are not written in Go: openelm.go, built as a
 * static library. Any thread may call these functions; those of one model may run at
 * the same time. Text is UTF-8. */
#ifndef OPENELM_H
#define OPENELM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A model, until openelm_close. 0 is none. */
typedef uint64_t openelm_model;

/* Gets a piece of text as soon as it is there: length bytes of whole characters, which
 * are there until it returns. Anything but 0 ends the text. */
typedef int (*openelm_token)(void *user, const char *text, size_t length);

/* Opens a folder with a checkpoint or a .gguf file; with NULL the small story-teller
 * that is part of the library. It returns 0 and sets *error when it cannot. */
openelm_model openelm_open(const char *path, char **error);

/* Continues prompt by at most max_tokens tokens (0: as many as fit), and returns when
 * the text has ended. temperature 0 takes the most probable tokens; seed chooses
 * among texts otherwise. It returns 0, or sets *error and returns -1. */
int openelm_generate(openelm_model model, const char *prompt, int max_tokens, float temperature, uint64_t seed,
	openelm_token token, void *user, char **error);

/* Gives the model's memory back, once the texts that are being generated have ended:
 * each ends at its next token. Closing what is closed does nothing. An openelm_token
 * must not close its own model, which would wait for itself: it returns 1. */
void openelm_close(openelm_model model);

/* Frees an error. */
void openelm_free(char *error);

#ifdef __cplusplus
}
#endif

#endif
