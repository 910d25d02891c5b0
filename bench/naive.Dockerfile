# The image of the usual tutorial: a single stage, with the fitted Prophet as a pickle.
FROM python:3.13-slim
WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir --root-user-action=ignore --requirement requirements.txt
COPY naive.py model.pkl ./
ENTRYPOINT ["python", "naive.py", "--model", "model.pkl"]
