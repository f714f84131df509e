/* Makes new processes at a rate, for a while: storm RATE SECONDS [PROGRAM]. A rate of 0 is as fast as it can. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int count, char **words)
{
	double rate, begun, seconds;
	long made = 0;

	if (count < 3)
		return 2;
	rate = atof(words[1]);
	seconds = atof(words[2]);
	begun = now();
	while (now() - begun < seconds) {
		pid_t child;
		if (rate > 0 && made >= (now() - begun) * rate) {
			usleep(200);
			continue;
		}
		child = vfork();
		if (child == 0) {
			if (count > 3)
				execv(words[3], words + 3);
			_exit(0);
		}
		if (child < 0)
			return 1;
		waitpid(child, NULL, 0);
		made++;
	}
	printf("%ld\n", made);
	return 0;
}
