/* Leaves a process behind for each message on standard input, waits for its end, and answers with two numbers: the seconds
 * (CLOCK_MONOTONIC) just before it was forked, and those of its end. */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(void)
{
	double *begun = mmap(NULL, sizeof *begun, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char order[16];

	if (begun == MAP_FAILED)
		return 1;
	while (recv(0, order, sizeof order, 0) > 0) {
		double answer[2];
		pid_t first = fork();
		if (first == 0) {
			/* As in a pane, whose session is not that of the jail's init. */
			setsid();
			*begun = now();
			if (fork() == 0)
				pause();
			_exit(0);
		}
		if (first < 0 || waitpid(first, NULL, 0) < 0 || waitpid(-1, NULL, 0) < 0)
			return 1;
		answer[0] = *begun;
		answer[1] = now();
		if (send(0, answer, sizeof answer, 0) < 0)
			return 1;
	}
	return 0;
}
