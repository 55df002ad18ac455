"""python -m etviz.metric_info: writes the page's labels and explanations of metrics from evaluation.metric_info."""

from etviz.evaluation.metric_info import SCRIPT, script
from etviz.files import write_text

if __name__ == "__main__":
    write_text(SCRIPT, script())
