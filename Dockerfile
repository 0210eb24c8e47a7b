# The book in a container: both commands run while it is built, then it serves the pages.
FROM python:3.13-slim AS tools
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /book

FROM tools
# For the small PyTorch of the README: docker build --build-arg PIP_EXTRA_INDEX_URL=ADDRESS
ARG PIP_EXTRA_INDEX_URL
COPY . .
RUN make book
RUN make test
EXPOSE 8000
CMD [".venv/bin/python", "-m", "http.server", "8000", "--directory", "_build/html"]
