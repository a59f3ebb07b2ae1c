"""A worker process, started by `judge.execution.workers`."""

from judge.execution.workers import work_off

if __name__ == "__main__":
    work_off()
