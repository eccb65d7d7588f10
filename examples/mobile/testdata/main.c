/* Uses every function of openelm.h, and prints what a test looks at. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "openelm.h"

static int print(void *user, const char *text, size_t length) {
	int *left = user;
	fwrite(text, 1, length, stdout);
	return left != NULL && --*left == 0;
}

static int failures;

static void expect(const char *what, int ok) {
	if (!ok) {
		fprintf(stderr, "FAILED: %s\n", what);
		failures++;
	}
}

static void expect_error(const char *what, char *error, const char *part) {
	if (error == NULL || strstr(error, part) == NULL) {
		fprintf(stderr, "FAILED: %s: the error is %s, and should speak of %s\n", what, error ? error : "none", part);
		failures++;
	}
	openelm_free(error);
}

/* What threads do: a text of their own, compared with that of another. */
struct text {
	openelm_model model;
	char text[4096];
	size_t length;
	int result;
};

static int keep(void *user, const char *text, size_t length) {
	struct text *t = user;
	if (t->length + length >= sizeof t->text) return 1;
	memcpy(t->text + t->length, text, length);
	t->length += length;
	return 0;
}

static void *tell(void *user) {
	struct text *t = user;
	t->result = openelm_generate(t->model, "The little fox", 40, 0.8f, 7, keep, t, NULL);
	return NULL;
}

/* Closes the model from another thread while it generates. */
struct closing {
	openelm_model model;
	pthread_t closer;
	int started;
};

static void *close_it(void *user) {
	openelm_close(((struct closing *)user)->model);
	return NULL;
}

static int start_closing(void *user, const char *text, size_t length) {
	struct closing *c = user;
	(void)text, (void)length;
	if (!c->started) {
		c->started = 1;
		pthread_create(&c->closer, NULL, close_it, c);
	}
	return 0;
}

int main(int argc, char **argv) {
	char *error = NULL;
	openelm_model story = openelm_open(NULL, &error), other;
	int three = 3, i;
	struct text texts[4];
	pthread_t threads[4];
	struct closing closing = {0};

	expect("the story model opens", story != 0 && error == NULL);
	expect("it tells a story", openelm_generate(story, "Once upon a time", 30, 0, 0, print, NULL, &error) == 0);
	printf("\n");
	expect("a text can be ended", openelm_generate(story, "Once upon a time", 0, 0, 0, print, &three, &error) == 0 && three == 0);
	printf("\n");

	for (i = 0; i < 4; i++) {
		memset(&texts[i], 0, sizeof texts[i]);
		texts[i].model = story;
		pthread_create(&threads[i], NULL, tell, &texts[i]);
	}
	for (i = 0; i < 4; i++) pthread_join(threads[i], NULL);
	for (i = 0; i < 4; i++)
		expect("threads get one text of one seed", texts[i].result == 0 && texts[i].length > 0 && strcmp(texts[i].text, texts[0].text) == 0);

	expect("no prompt", openelm_generate(story, NULL, 1, 0, 0, print, NULL, &error) == -1);
	expect_error("no prompt", error, "NULL");
	expect("no function", openelm_generate(story, "a", 1, 0, 0, NULL, NULL, &error) == -1);
	expect_error("no function", error, "NULL");
	expect("a temperature below zero", openelm_generate(story, "a", 1, -1, 0, print, NULL, &error) == -1);
	expect_error("a temperature below zero", error, "temperature");
	expect("errors may be left out", openelm_generate(story, "a", -1, 0, 0, print, NULL, NULL) == -1);
	expect("no file", openelm_open("/nowhere/model.gguf", &error) == 0);
	expect_error("no file", error, "/nowhere/model.gguf");
	if (argc > 1) {
		other = openelm_open(argv[1], &error);
		expect("a model of a path opens", other != 0);
		expect("and tells a story", openelm_generate(other, "Once upon a time", 30, 0, 0, print, NULL, &error) == 0);
		printf("\n");
		openelm_close(other);
	}

	closing.model = openelm_open(NULL, &error);
	expect("closed while it generates", openelm_generate(closing.model, "Once upon a time", 0, 0, 0, start_closing, &closing, &error) == -1);
	expect_error("closed while it generates", error, "cancel");
	pthread_join(closing.closer, NULL);

	openelm_close(story);
	openelm_close(story);
	openelm_close(0);
	expect("a closed model", openelm_generate(story, "a", 1, 0, 0, print, NULL, &error) == -1);
	expect_error("a closed model", error, "no model 1");
	openelm_free(NULL);
	return failures;
}
